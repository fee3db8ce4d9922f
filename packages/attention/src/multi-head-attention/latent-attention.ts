import {
  broadcastTo,
  permute,
  reshape,
  slice,
  splitHeads,
  type Backend,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
  type Watch,
} from '@qkv/core'
import type { Positions, RotaryEncoding } from '@qkv/positional'
import { attention } from '../attention.ts'
import { cachedAttention } from '../cache/attention.ts'
import type { DecodingCache, CachedKeys } from '../cache/cache.ts'
import { KeyValueCache, type KeyValueCacheOptions } from '../cache/contiguous.ts'
import { checkCounts, nextPlaces, appendAndAttend } from '../cache/append.ts'
import { checkBackend, checkCount, checkShape, invalid } from '../refuse.ts'
import { withTemporaries, type Temporaries } from '../temporaries.ts'
import { joinHeads } from './heads.ts'
import { ModuleWeights } from './weights.ts'

export interface LatentAttentionOptions {
  readonly backend: Backend
  readonly modelDim: number
  readonly heads: number
  /** Elements of the vector that keys and values of all heads are made from. */
  readonly latentDim: number
  /** Elements of the vector that queries are made from; without it they come straight from the input. */
  readonly queryLatentDim?: number | undefined
  /** Elements of each head's query and key that carry content. */
  readonly contentDim: number
  /** Elements of each head's query, and of the one key that all heads share, that carry position. */
  readonly rotaryDim: number
  /** Elements of a value. */
  readonly valueDim: number
  /** Rotary over `rotaryDim` elements. */
  readonly position: RotaryEncoding
  /** Default 1/√(contentDim + rotaryDim). */
  readonly scale?: number | undefined
  /** Of the norms of latent vectors; default 1e-6. */
  readonly epsilon?: number | undefined
  /** Named tensors, as {@link LatentAttention} says; without them, small random ones from `seed`. */
  readonly weights?: Readonly<Record<string, Tensor>> | undefined
  readonly seed?: number | undefined
}

export interface LatentForwardOptions extends Watch {
  /** Latent vectors and rotated keys of earlier tokens, from {@link LatentAttention.cache}; the input's are appended. */
  readonly cache?: DecodingCache | undefined
  /** With a cache whose batch entries have lengths of their own: how many of the last tokens are each entry's. */
  readonly counts?: readonly number[] | undefined
}

/**
 * Causal attention whose keys and values are all made from one small latent vector a token, which is all that a cache
 * has to keep, with a rotary key beside it that all heads share (multi-head latent attention; DeepSeek-V2, 2024,
 * arXiv:2405.04434). Weights, matrices [outputs, inputs], in that model's arrangement:
 *
 *     query.weight [heads·(contentDim + rotaryDim), modelDim], or queryDown.weight [queryLatentDim, modelDim],
 *     queryNorm.weight [queryLatentDim] and queryUp.weight [heads·(contentDim + rotaryDim), queryLatentDim]
 *     latent.weight [latentDim + rotaryDim, modelDim]      latentNorm.weight [latentDim]
 *     keyValue.weight [heads·(contentDim + valueDim), latentDim]      output.weight [modelDim, heads·valueDim]
 *
 * Without a cache, keys and values are spelled out for each head. With one, the matrices that would do so are absorbed:
 * q·(U c) = (Uᵀq)·c, and Σ p·(V c) = V·(Σ p c), so attention runs over the latent vectors themselves, as if they were the
 * keys and values of a single head that all query heads share. Both give the same, to rounding.
 */
export class LatentAttention implements Disposable {
  readonly backend: Backend
  readonly #options: LatentAttentionOptions
  readonly #scale: number
  readonly #weights: ModuleWeights

  constructor(options: LatentAttentionOptions) {
    const { backend, contentDim, rotaryDim, position } = options
    checkBackend('LatentAttention', backend)
    for (const size of ['modelDim', 'heads', 'latentDim', 'contentDim', 'rotaryDim', 'valueDim'] as const) {
      checkCount('LatentAttention', size, options[size])
    }
    if (position?.kind !== 'rotary' || position.dim !== rotaryDim || position.followsLength) {
      const received =
        position?.kind !== 'rotary' ? 'another' : `over ${position.dim}${position.followsLength ? ', following it' : ''}`
      throw invalid('LatentAttention', 'position', `rotary over ${rotaryDim} elements that does not follow the length`, received)
    }
    this.backend = backend
    this.#options = options
    this.#scale = options.scale ?? 1 / Math.sqrt(contentDim + rotaryDim)
    this.#weights = new ModuleWeights('LatentAttention', backend, weightShapes(options), options.weights, options.seed)
  }

  /** A cache for this layer: latentDim + rotaryDim elements a token, whatever the number of heads. */
  cache(options: Pick<KeyValueCacheOptions, 'batch' | 'dtype' | 'capacity' | 'groupSize'> = {}): KeyValueCache {
    const { latentDim, rotaryDim } = this.#options
    return new KeyValueCache({ ...options, backend: this.backend, heads: 1, headDim: latentDim + rotaryDim, valueDim: 0 })
  }

  /**
   * @param input [batch, length, modelDim]
   * @returns [batch, length, modelDim], owned by the caller.
   */
  async forward(input: Tensor, options: LatentForwardOptions = {}): Promise<OwnedTensor> {
    this.#weights.check()
    checkShape('LatentAttention.forward', 'input', input.shape, [-1, -1, this.#options.modelDim])
    const { cache, ...others } = options
    checkCounts('LatentAttention.forward', cache, others.counts)
    return withTemporaries(async (scope) => {
      const joined =
        cache === undefined ? await this.#spelledOut(input, others, scope) : await this.#absorbed(input, cache, others, scope)
      return this.backend.linear(joined, this.#weights.get('output.weight'))
    })
  }

  state(): Promise<Record<string, HostTensor>> {
    return this.#weights.read()
  }

  dispose(): void {
    this.#weights.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** @returns [batch, length, heads·valueDim] */
  async #spelledOut(input: Tensor, watch: Watch, scope: Temporaries): Promise<Tensor> {
    const { heads, contentDim, valueDim } = this.#options
    const places = { start: 0, length: input.shape[1] ?? 0 }
    const { content, turned } = this.#queries(input, places, scope)
    const { latent, key: sharedKey } = this.#latents(input, places, scope)
    const keyValue = splitHeads(scope.keep(this.backend.linear(latent, this.#weights.get('keyValue.weight'))), heads)
    const query = this.#beside(content, turned, scope)
    const key = this.#beside(slice(keyValue, 3, 0, contentDim), sharedKey, scope)
    const { output } = await attention(query, key, slice(keyValue, 3, contentDim, contentDim + valueDim), {
      ...watch,
      backend: this.backend,
      causal: true,
      scale: this.#scale,
    })
    return joinHeads(this.backend, scope.keep(output), scope)
  }

  /** @returns [batch, length, heads·valueDim] */
  async #absorbed(
    input: Tensor,
    cache: DecodingCache,
    { counts, ...watch }: Omit<LatentForwardOptions, 'cache'>,
    scope: Temporaries,
  ): Promise<Tensor> {
    const { heads, latentDim, contentDim, valueDim } = this.#options
    const [batch = 0, length = 0] = input.shape
    const places = nextPlaces(cache, length, counts)
    const { content, turned } = this.#queries(input, places, scope)
    const { latent, key: sharedKey } = this.#latents(input, places, scope)
    const absorbed = this.#forEachHead(content, latentDim, scope, (head) => permute(this.#headMatrix(head, 0, contentDim), [1, 0]))
    const query = this.#beside(absorbed, turned, scope)
    const key = this.#beside(splitHeads(latent, 1), sharedKey, scope)
    const attended = await appendAndAttend(cache, { key, value: slice(key, 3, 0, 0), counts }, async () => {
      const keys = (): CachedKeys => latentValues(cache.keys(), cache, latentDim)
      const { output } = await cachedAttention(query, { backend: this.backend, keys }, { ...watch, scale: this.#scale })
      return scope.keep(output)
    })
    const values = this.#forEachHead(attended, valueDim, scope, (head) => this.#headMatrix(head, contentDim, contentDim + valueDim))
    return reshape(permute(values, [0, 2, 1, 3]), [batch, length, heads * valueDim])
  }

  /** Content [batch, heads, length, contentDim] and rotated part [batch, heads, length, rotaryDim]. */
  #queries(input: Tensor, places: Positions, scope: Temporaries): { content: Tensor; turned: Tensor } {
    const { heads, queryLatentDim, contentDim, rotaryDim, epsilon = 1e-6, position } = this.#options
    const { backend } = this
    const project = (from: Tensor, name: string): Tensor => scope.keep(backend.linear(from, this.#weights.get(name)))
    const projected =
      queryLatentDim === undefined
        ? project(input, 'query.weight')
        : project(
            scope.keep(backend.rmsNorm(project(input, 'queryDown.weight'), this.#weights.get('queryNorm.weight'), epsilon)),
            'queryUp.weight',
          )
    const query = splitHeads(projected, heads)
    const turning = slice(query, 3, contentDim, contentDim + rotaryDim)
    return {
      content: slice(query, 3, 0, contentDim),
      turned: scope.keep(backend.rotate(turning, position.table(places, 'query'))),
    }
  }

  /** Latent [batch, length, latentDim] and the shared key [batch, 1, length, rotaryDim], rotated. */
  #latents(input: Tensor, places: Positions, scope: Temporaries): { latent: Tensor; key: Tensor } {
    const { latentDim, rotaryDim, epsilon = 1e-6, position } = this.#options
    const { backend } = this
    const compressed = scope.keep(backend.linear(input, this.#weights.get('latent.weight')))
    const turning = splitHeads(slice(compressed, 2, latentDim, latentDim + rotaryDim), 1)
    return {
      latent: scope.keep(backend.rmsNorm(slice(compressed, 2, 0, latentDim), this.#weights.get('latentNorm.weight'), epsilon)),
      key: scope.keep(backend.rotate(turning, position.table(places, 'key'))),
    }
  }

  /** Vectors [batch, heads, length, a + b] of `left` and, broadcast over heads, `right`; [batch, length, heads, a + b] in memory. */
  #beside(left: Tensor, right: Tensor, scope: Temporaries): Tensor {
    const [batch = 0, heads = 0, length = 0, width = 0] = left.shape
    const rightWidth = right.shape[3] ?? 0
    const both = permute(scope.keep(this.backend.empty([batch, length, heads, width + rightWidth], left.dtype)), [0, 2, 1, 3])
    this.backend.copy(left, slice(both, 3, 0, width))
    this.backend.copy(broadcastTo(right, [batch, heads, length, rightWidth]), slice(both, 3, width, width + rightWidth))
    return both
  }

  /** Each head's vectors times its own matrix [outputs, inputs]: [batch, heads, length, outputs]. */
  #forEachHead(view: Tensor, outputs: number, scope: Temporaries, matrix: (head: number) => Tensor): Tensor {
    const [batch = 0, heads = 0, length = 0] = view.shape
    const results = permute(scope.keep(this.backend.empty([batch, length, heads, outputs], view.dtype)), [0, 2, 1, 3])
    for (let head = 0; head < heads; head++) {
      const product = this.backend.linear(slice(view, 1, head, head + 1), matrix(head))
      this.backend.copy(product, slice(results, 1, head, head + 1))
      product.dispose()
    }
    return results
  }

  /** Rows of one head's part of keyValue.weight: its first contentDim make keys, the rest values. */
  #headMatrix(head: number, first: number, end: number): Tensor {
    const { contentDim, valueDim } = this.#options
    const start = head * (contentDim + valueDim)
    return slice(this.#weights.get('keyValue.weight'), 0, start + first, start + end)
  }
}

function weightShapes(options: LatentAttentionOptions): Record<string, readonly number[]> {
  const { modelDim, heads, latentDim, queryLatentDim, contentDim, rotaryDim, valueDim } = options
  const queries = heads * (contentDim + rotaryDim)
  const queryShapes: Record<string, readonly number[]> =
    queryLatentDim === undefined
      ? { 'query.weight': [queries, modelDim] }
      : {
          'queryDown.weight': [queryLatentDim, modelDim],
          'queryNorm.weight': [queryLatentDim],
          'queryUp.weight': [queries, queryLatentDim],
        }
  return {
    ...queryShapes,
    'latent.weight': [latentDim + rotaryDim, modelDim],
    'latentNorm.weight': [latentDim],
    'keyValue.weight': [heads * (contentDim + valueDim), latentDim],
    'output.weight': [modelDim, heads * valueDim],
  }
}

/** The latent vectors, which lead the stored keys, as values too. */
function latentValues(keys: CachedKeys, { layout }: DecodingCache, latentDim: number): CachedKeys {
  const { dtype, groupSize } = layout
  if (groupSize > 0 && latentDim % groupSize !== 0) {
    throw invalid('LatentAttention.forward', 'cache.groupSize', `a divisor of the latent size ${latentDim}`, String(groupSize))
  }
  const elements = dtype === 'int4' ? latentDim / 2 : latentDim
  return {
    ...keys,
    value: slice(keys.key, 3, 0, elements),
    valueScales: keys.keyScales && slice(keys.keyScales, 3, 0, latentDim / groupSize),
    dispose: () => keys.dispose(),
  }
}
