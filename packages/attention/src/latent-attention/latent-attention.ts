import { permute, reshape, slice, splitHeads, type Tensor, type OwnedTensor, type Watch } from '@qkv/core'
import { attention } from '../attention.ts'
import { appendAndAttend, nextPlaces } from '../cache/append.ts'
import { cachedAttention } from '../cache/attention.ts'
import type { CachedKeys, DecodingCache } from '../cache/cache.ts'
import { KeyValueCache, type KeyValueCacheOptions } from '../cache/contiguous.ts'
import { Layer } from '../layer.ts'
import { joinHeads } from '../multi-head-attention/heads.ts'
import { ModuleWeights } from '../weights.ts'
import { invalid } from '../refuse.ts'
import { withTemporaries, type Temporaries } from '../temporaries.ts'
import { LatentProjections, sideBySide } from './latent-projections.ts'
import { latentConfig, latentWeightShapes, type LatentAttentionOptions, type LatentConfig } from './options.ts'

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
export class LatentAttention extends Layer {
  readonly config: LatentConfig
  readonly #projections: LatentProjections

  /** Weights are copied to the backend. @throws QkvError naming the option or weight at fault. */
  constructor(options: LatentAttentionOptions) {
    const { backend, weights, seed } = options
    const config = latentConfig(options)
    super(backend, new ModuleWeights('LatentAttention', backend, latentWeightShapes(config), weights, seed))
    this.config = config
    this.#projections = new LatentProjections(backend, config, this.weights)
  }

  /** A cache for this layer: latentDim + rotaryDim elements a token, whatever the number of heads. */
  cache(options: Pick<KeyValueCacheOptions, 'batch' | 'dtype' | 'capacity' | 'groupSize'> = {}): KeyValueCache {
    const { latentDim, rotaryDim } = this.config
    return new KeyValueCache({ ...options, backend: this.backend, heads: 1, headDim: latentDim + rotaryDim, valueDim: 0 })
  }

  /**
   * @param input [batch, length, modelDim]
   * @returns [batch, length, modelDim], owned by the caller.
   */
  async forward(input: Tensor, options: LatentForwardOptions = {}): Promise<OwnedTensor> {
    const { cache, ...others } = options
    this.checkCall('LatentAttention.forward', input, this.config.modelDim, cache, others.counts)
    return withTemporaries(async (scope) => {
      const joined =
        cache === undefined ? await this.#spelledOut(input, others, scope) : await this.#absorbed(input, cache, others, scope)
      return this.backend.linear(joined, this.weights.pair('output').weight)
    })
  }

  /** @returns [batch, length, heads·valueDim] */
  async #spelledOut(input: Tensor, watch: Watch, scope: Temporaries): Promise<Tensor> {
    const { position, scale } = this.config
    const { backend } = this
    const [queries, keys] = [this.#projections.queries(input, scope), this.#projections.keys(input, scope)]
    const { query, key, value } = this.#projections.spelledOut(queries, keys, scope)
    const { output } = await attention(query, key, value, { ...watch, backend, causal: true, position, scale })
    return joinHeads(backend, scope.keep(output), scope)
  }

  /** @returns [batch, length, heads·valueDim] */
  async #absorbed(
    input: Tensor,
    cache: DecodingCache,
    { counts, ...watch }: Omit<LatentForwardOptions, 'cache'>,
    scope: Temporaries,
  ): Promise<Tensor> {
    const { heads, latentDim, contentDim, rotaryDim, valueDim, position, scale } = this.config
    const { backend } = this
    const [batch = 0, length = 0] = input.shape
    const places = nextPlaces(cache, length, counts)
    const turned = (view: Tensor, role: 'query' | 'key'): Tensor => scope.keep(backend.rotate(view, position.table(places, role)))
    const queries = this.#projections.queries(input, scope).query
    const { latent, sharedKey } = this.#projections.keys(input, scope)

    const content = slice(queries, 3, 0, contentDim)
    const absorbed = this.#forEachHead(content, latentDim, scope, (head) => permute(this.#headMatrix(head, 0, contentDim), [1, 0]))
    const turning = slice(queries, 3, contentDim, contentDim + rotaryDim)
    const query = sideBySide(backend, heads, [absorbed, turned(turning, 'query')], scope)
    const key = sideBySide(backend, 1, [splitHeads(latent.after, 1), turned(sharedKey, 'key')], scope)
    const attended = await appendAndAttend(cache, { key, value: slice(key, 3, 0, 0), counts }, async () => {
      const keys = (): CachedKeys => latentValues(cache.keys(), cache, latentDim)
      const { output } = await cachedAttention(query, { backend, keys }, { ...watch, scale })
      return scope.keep(output)
    })
    const values = this.#forEachHead(attended, valueDim, scope, (head) => this.#headMatrix(head, contentDim, contentDim + valueDim))
    return reshape(permute(values, [0, 2, 1, 3]), [batch, length, heads * valueDim])
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
    const { contentDim, valueDim } = this.config
    const start = head * (contentDim + valueDim)
    return slice(this.weights.pair('keyValue').weight, 0, start + first, start + end)
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
