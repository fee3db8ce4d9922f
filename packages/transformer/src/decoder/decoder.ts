import { QkvError, slice, tensor, type Backend, type OwnedTensor, type Tensor } from '@qkv/core'
import { runBlock } from './block.ts'
import { DecoderCache } from './decoder-cache.ts'
import { linear } from './feed-forward.ts'
import type { AttentionMaps } from './maps.ts'
import { normalise } from './normalise.ts'
import { uploadCheckpoint, type DecoderParts } from './upload.ts'
import type { DecoderCheckpoint, DecoderSizes } from './weights.ts'

export interface DecoderForwardOptions {
  /** What the tokens before left behind; takes these in. Without it, `tokens` are the whole text. */
  readonly cache?: DecoderCache | undefined
  /** Logits of the last token alone, or of all. Default `last`. */
  readonly logits?: 'last' | 'all' | undefined
  /** Also capture what the tokens from this index on look at, in every head of every layer. */
  readonly mapsFrom?: number | undefined
}

export interface DecoderResult {
  /** [1, 1 or tokens, vocabularySize], owned by the caller: for each token, what may come next. */
  readonly logits: OwnedTensor
  readonly maps: AttentionMaps | undefined
}

/**
 * A decoder-only transformer: embedding, pre-norm blocks, a last norm, logits. Everything runs on the backend.
 *
 *     using model = new Decoder(readLlama2cCheckpoint(file), { backend })
 *     const { logits } = await model.forward(tokens)
 */
export class Decoder implements Disposable {
  readonly backend: Backend
  readonly sizes: DecoderSizes
  readonly layers: number
  readonly #parts: DecoderParts
  #disposed = false

  /** Copies the weights to the backend; the checkpoint is not needed afterwards. */
  constructor(checkpoint: DecoderCheckpoint, { backend }: { readonly backend: Backend }) {
    this.backend = backend
    this.sizes = checkpoint.sizes
    this.layers = checkpoint.blocks.length
    this.#parts = uploadCheckpoint(backend, checkpoint)
  }

  /** A cache for one text of at most `capacity` tokens; default the context length. */
  createCache(capacity: number = this.sizes.contextLength): DecoderCache {
    this.#check()
    return new DecoderCache(this.backend, this.layers, this.sizes, capacity)
  }

  /**
   * @throws QkvError `OPTION_INVALID` for no tokens or ones that there are not, `LIMIT_EXCEEDED` beyond the context,
   * `DISPOSED`. A cache stays as it was when anything fails.
   */
  async forward(tokens: readonly number[], options: DecoderForwardOptions = {}): Promise<DecoderResult> {
    const { cache, logits = 'last', mapsFrom } = options
    const start = cache?.length ?? 0
    this.#check()
    checkTokens(tokens, start, this.sizes)
    const maps: AttentionMaps[number][] = []
    let hidden = this.#embed(tokens, start)
    try {
      for (const [layer, block] of this.#parts.blocks.entries()) {
        const result = await runBlock(this.backend, hidden, block, { cache: cache?.layers[layer], mapsFrom })
        hidden.dispose()
        hidden = result.hidden
        if (result.map) maps.push(result.map)
      }
      const read = logits === 'last' ? slice(hidden, 1, tokens.length - 1, tokens.length) : hidden
      return { logits: this.#logits(read), maps: mapsFrom === undefined ? undefined : maps }
    } catch (failure) {
      cache?.truncate(start)
      throw failure
    } finally {
      hidden.dispose()
    }
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#parts[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** [1, tokens, modelDim] */
  #embed(tokens: readonly number[], start: number): OwnedTensor {
    const { embedding, positions } = this.#parts
    const indices = tensor(Int32Array.from(tokens), [1, tokens.length])
    if (!positions) return this.backend.gather(embedding, indices)
    using embedded = this.backend.gather(embedding, indices)
    return this.backend.add(embedded, slice(positions, 0, start, start + tokens.length))
  }

  #logits(hidden: Tensor): OwnedTensor {
    using normed = normalise(this.backend, hidden, this.#parts.norm)
    return linear(this.backend, normed, this.#parts.head)
  }

  #check(): void {
    if (!this.#disposed) return
    throw refused('DISPOSED', 'decoder', 'not disposed', 'a disposed one')
  }
}

function checkTokens(tokens: readonly number[], start: number, { vocabularySize, contextLength }: DecoderSizes): void {
  if (tokens.length === 0) throw refused('OPTION_INVALID', 'tokens', 'at least one token', 'none')
  const wrong = tokens.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= vocabularySize)
  if (wrong >= 0)
    throw refused('OPTION_INVALID', `tokens[${wrong}]`, `a whole number from 0 to ${vocabularySize - 1}`, String(tokens[wrong]))
  if (start + tokens.length > contextLength) {
    throw refused(
      'LIMIT_EXCEEDED',
      'tokens',
      `at most ${contextLength - start} more (the context holds ${contextLength})`,
      String(tokens.length),
    )
  }
}

function refused(
  code: 'OPTION_INVALID' | 'LIMIT_EXCEEDED' | 'DISPOSED',
  argument: string,
  expected: string,
  received: string,
): QkvError {
  return new QkvError({ code, operation: 'Decoder.forward', argument, expected, received })
}
