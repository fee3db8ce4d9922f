import {
  slice,
  splitHeads,
  type Backend,
  type HostTensor,
  type OwnedTensor,
  type ProblemOptions,
  type Tensor,
  type Watch,
} from '@qkv/core'
import type { Positions } from '@qkv/positional'
import { attention } from '../attention.ts'
import type { AttentionCache } from '../cache/cache.ts'
import { cachedAttention, optionsOfKeys, type CachedAttentionOptions } from '../cache/attention.ts'
import type { OnBackend, WeightOptions } from '../inspect/index.ts'
import { checkShape, refused } from '../refuse.ts'
import { temporaries, type Temporaries } from '../temporaries.ts'
import { gated } from './gate.ts'
import { joinHeads, normalisedHeads } from './heads.ts'
import { multiHeadConfig, weightShapes, type MultiHeadAttentionOptions, type MultiHeadConfig } from './options.ts'
import { ModuleWeights } from './weights.ts'

/** Keys and values that a memory was projected to, to be attended to again and again. */
export interface ProjectedMemory extends Disposable {
  /** [batch, kvHeads, memoryLength, headDim] */
  readonly key: Tensor
  /** [batch, kvHeads, memoryLength, valueDim] */
  readonly value: Tensor
  dispose(): void
}

export interface ForwardOptions extends Watch, Pick<ProblemOptions, 'mask' | 'bias' | 'score' | 'lengths' | 'dropout'> {
  /** Keys and values of earlier tokens; the input's are appended. Causal. */
  readonly cache?: AttentionCache | undefined
  /** What to attend to instead of the input: an encoder's output [batch, memoryLength, memoryDim], or it projected. */
  readonly memory?: Tensor | ProjectedMemory | undefined
  /** Where the input's tokens stand, for a rotary position; by default after those in the cache. */
  readonly positions?: Positions | undefined
  /**
   * Sees what self-attention attends with, the cached keys included, and is awaited before its memory is given back:
   *
   *     inspect: async (query, key, options) => { map = await inspect.weights(query, key, options) }
   */
  readonly inspect?: ((query: Tensor, key: Tensor, options: WeightOptions & OnBackend) => Promise<void>) | undefined
}

/**
 * Queries, keys and values projected from vectors, attention in every head, and the heads' outputs projected back: self- or
 * cross-attention, with grouped or multi-query heads, for any of the arrangements that its options name.
 *
 *     using layer = new MultiHeadAttention({ backend, modelDim: 512, heads: 8, kvHeads: 2, causal: true,
 *       position: rotary({ dim: 64 }), weights })
 *     const output = await layer.forward(input)                    // [batch, length, modelDim]
 *     const next = await layer.forward(token, { cache })
 *
 * Everything runs on the backend; nothing is read back.
 */
export class MultiHeadAttention implements Disposable {
  readonly backend: Backend
  readonly config: MultiHeadConfig
  readonly #weights: ModuleWeights

  /** Weights are copied to the backend. @throws QkvError naming the option or weight at fault. */
  constructor(options: MultiHeadAttentionOptions) {
    this.backend = options.backend
    this.config = multiHeadConfig(options)
    this.#weights = new ModuleWeights('MultiHeadAttention', this.backend, weightShapes(this.config), options.weights, options.seed)
  }

  /**
   * @param input [batch, length, modelDim]
   * @returns [batch, length, modelDim], owned by the caller.
   * @throws QkvError naming what does not fit; a cache keeps what was appended before a later step failed.
   */
  async forward(input: Tensor, options: ForwardOptions = {}): Promise<OwnedTensor> {
    this.#checkInput(input, options)
    const scope = temporaries()
    try {
      const attended =
        options.memory === undefined
          ? await this.#attendSelf(input, options, scope)
          : await this.#attendMemory(input, options.memory, options, scope)
      const joined = joinHeads(this.backend, attended, scope)
      const open = this.config.gate ? gated(this.backend, joined, this.#project('gate', input, scope), this.config, scope) : joined
      return this.backend.linear(open, this.#weights.get('output.weight'), this.#bias('output'))
    } finally {
      scope.dispose()
    }
  }

  /** Projects what many inputs will attend to, once. @param memory [batch, memoryLength, memoryDim] */
  async project(memory: Tensor): Promise<ProjectedMemory> {
    this.#weights.check()
    checkShape('MultiHeadAttention.project', 'memory', memory.shape, [-1, -1, this.config.memoryDim])
    const scope = temporaries()
    const { key, value } = this.#keyValue(memory, scope)
    return { key, value, dispose: scope.dispose, [Symbol.dispose]: scope.dispose }
  }

  /** All weights, read home. */
  state(): Promise<Record<string, HostTensor>> {
    return this.#weights.read()
  }

  dispose(): void {
    this.#weights.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  async #attendSelf(input: Tensor, options: ForwardOptions, scope: Temporaries): Promise<OwnedTensor> {
    const { cache, positions, signal, onProgress, mask, bias, score, lengths, dropout, inspect } = options
    const { position, causal, window } = this.config
    const { query, key, value } = this.#selfProjections(input, scope)
    const shared = { ...this.#scoring(), window, mask, bias, score, dropout, signal, onProgress }
    if (cache === undefined) {
      const places = positions === undefined ? undefined : { query: positions, key: positions }
      const asked = { ...shared, causal, position, positions: places, lengths, backend: this.backend }
      const { output } = await attention(query, key, value, asked)
      scope.keep(output)
      await inspect?.(query, key, asked)
      return output
    }
    const rotary = position?.kind === 'rotary' ? position : undefined
    const start = cache.length
    const length = input.shape[1] ?? 0
    const table = (role: 'query' | 'key') =>
      rotary!.table(positions ?? { start, length }, role, positions ? undefined : start + length)
    await cache.append(rotary ? scope.keep(this.backend.rotate(key, table('key'))) : key, value)
    const turned = rotary ? scope.keep(this.backend.rotate(query, table('query'))) : query
    const asked = { ...shared, position: rotary ? undefined : position }
    const { output } = await cachedAttention(turned, cache, asked)
    scope.keep(output)
    if (inspect) await inspectCached(turned, cache, asked, inspect)
    return output
  }

  async #attendMemory(
    input: Tensor,
    memory: Tensor | ProjectedMemory,
    options: ForwardOptions,
    scope: Temporaries,
  ): Promise<OwnedTensor> {
    const { signal, onProgress, mask, bias, score, lengths, dropout } = options
    const { key, value } = 'key' in memory ? memory : this.#keyValue(memory, scope)
    const query = this.#query(this.#project('query', input, scope), scope)
    const { output } = await attention(query, key, value, {
      ...this.#scoring(),
      mask,
      bias,
      score,
      lengths,
      dropout,
      signal,
      onProgress,
      backend: this.backend,
    })
    return scope.keep(output)
  }

  /** What belongs to the scores wherever they come from. */
  #scoring(): Pick<ProblemOptions, 'scale' | 'softcap' | 'sinks'> {
    const { scale, softcap } = this.config
    return { scale, softcap, sinks: this.#weights.find('sinks') }
  }

  #selfProjections(input: Tensor, scope: Temporaries): { query: Tensor; key: Tensor; value: Tensor } {
    if (!this.config.fused)
      return { query: this.#query(this.#project('query', input, scope), scope), ...this.#keyValue(input, scope) }
    const all = this.#project('queryKeyValue', input, scope)
    const [query, key, value] = this.#fusedParts(all, 2)
    return { query: this.#query(query, scope), ...this.#heads(key, value, scope) }
  }

  #query(projected: Tensor, scope: Temporaries): Tensor {
    return this.#normalised('queryNorm', projected, this.config.heads, scope)
  }

  #keyValue(memory: Tensor, scope: Temporaries): { key: Tensor; value: Tensor } {
    return this.#heads(this.#project('key', memory, scope), this.#project('value', memory, scope), scope)
  }

  #heads(key: Tensor, value: Tensor, scope: Temporaries): { key: Tensor; value: Tensor } {
    const { kvHeads } = this.config
    return { key: this.#normalised('keyNorm', key, kvHeads, scope), value: splitHeads(value, kvHeads) }
  }

  #normalised(name: 'queryNorm' | 'keyNorm', projected: Tensor, heads: number, scope: Temporaries): Tensor {
    const { queryKeyNorm } = this.config
    if (queryKeyNorm === undefined) return splitHeads(projected, heads)
    return normalisedHeads(
      this.backend,
      projected,
      heads,
      queryKeyNorm,
      this.#weights.get(`${name}.weight`),
      this.#bias(name),
      scope,
    )
  }

  /** `input` through a named projection; a part of the fused one where there is one. */
  #project(name: string, input: Tensor, scope: Temporaries): Tensor {
    const whole = !this.config.fused || name === 'queryKeyValue' || name === 'gate'
    if (whole) return scope.keep(this.backend.linear(input, this.#weights.get(`${name}.weight`), this.#bias(name)))
    const which = ['query', 'key', 'value'].indexOf(name)
    const bias = this.#bias('queryKeyValue')
    const weight = this.#fusedParts(this.#weights.get('queryKeyValue.weight'), 0)[which]!
    return scope.keep(this.backend.linear(input, weight, bias && this.#fusedParts(bias, 0)[which]))
  }

  /** The three parts along the axis on which a fused projection has them one after another. */
  #fusedParts(view: Tensor, axis: number): [query: Tensor, key: Tensor, value: Tensor] {
    const { heads, kvHeads, headDim } = this.config
    const keys = heads * headDim
    const values = keys + kvHeads * headDim
    return [slice(view, axis, 0, keys), slice(view, axis, keys, values), slice(view, axis, values, view.shape[axis] ?? 0)]
  }

  #bias(name: string): Tensor | undefined {
    return this.#weights.find(`${name}.bias`)
  }

  #checkInput(input: Tensor, { cache, memory }: ForwardOptions): void {
    this.#weights.check()
    checkShape('MultiHeadAttention.forward', 'input', input.shape, [-1, -1, this.config.modelDim])
    if (cache !== undefined && memory !== undefined) {
      throw refused(
        'OPTION_INVALID',
        'MultiHeadAttention.forward',
        'cache',
        'absent with a memory (project() it once instead)',
        'a cache',
      )
    }
    if (memory !== undefined && !('key' in memory)) {
      checkShape('MultiHeadAttention.forward', 'memory', memory.shape, [input.shape[0] ?? 0, -1, this.config.memoryDim])
    }
  }
}

async function inspectCached(
  query: Tensor,
  cache: AttentionCache,
  options: CachedAttentionOptions,
  inspect: NonNullable<ForwardOptions['inspect']>,
): Promise<void> {
  const keys = cache.keys()
  try {
    await inspect(query, keys.key, optionsOfKeys(keys, cache.backend, options))
  } finally {
    keys.dispose()
  }
}
