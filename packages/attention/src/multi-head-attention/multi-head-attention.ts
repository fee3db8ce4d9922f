import type { OwnedTensor, ProblemOptions, Tensor, Watch } from '@qkv/core'
import type { Positions } from '@qkv/positional'
import { nextPlaces } from '../cache/append.ts'
import type { DecodingCache } from '../cache/cache.ts'
import { Layer } from '../layer.ts'
import { checkPositions } from '../positions.ts'
import { checkShape, invalid } from '../refuse.ts'
import { temporaries, withTemporaries, type Temporaries } from '../temporaries.ts'
import { embedded } from './embedded.ts'
import { gated } from './gate.ts'
import { joinHeads } from './heads.ts'
import { multiHeadConfig, weightShapes, type MultiHeadAttentionOptions, type MultiHeadConfig } from './options.ts'
import { Projections, type KeyValueHeads } from './projections.ts'
import { attendAndShow, attendCached, attendSelf, type Inspect } from './self-attention.ts'
import { ModuleWeights } from '../weights.ts'

/** Keys and values that a memory was projected to, to be attended to again and again. */
export interface ProjectedMemory extends KeyValueHeads, Disposable {
  dispose(): void
}

export interface ForwardOptions extends Watch, Pick<ProblemOptions, 'mask' | 'bias' | 'score' | 'lengths' | 'dropout'> {
  /** Keys and values of earlier tokens; the input's are appended. Causal. */
  readonly cache?: DecodingCache | undefined
  /**
   * With a cache whose batch entries have lengths of their own: how many of the last tokens are each entry's, those before
   * being padding, which comes out as nothing of use. Default all.
   */
  readonly counts?: readonly number[] | undefined
  /** What to attend to instead of the input: an encoder's output [batch, memoryLength, memoryDim], or it projected. */
  readonly memory?: Tensor | ProjectedMemory | undefined
  /** Where the input's tokens stand, for rotary positions and embeddings; by default after those in the cache. */
  readonly positions?: Positions | undefined
  /**
   * Sees what attention attends with, cached keys or a memory's included, and is awaited before its memory is given back:
   *
   *     inspect: async (query, key, options) => { map = await inspect.weights(query, key, options) }
   */
  readonly inspect?: Inspect | undefined
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
export class MultiHeadAttention extends Layer {
  readonly config: MultiHeadConfig
  readonly #projections: Projections

  /** Weights are copied to the backend. @throws QkvError naming the option or weight at fault. */
  constructor(options: MultiHeadAttentionOptions) {
    const { backend, weights, seed } = options
    const config = multiHeadConfig(options)
    super(backend, new ModuleWeights('MultiHeadAttention', backend, weightShapes(config), weights, seed))
    this.config = config
    this.#projections = new Projections(backend, config, this.weights)
  }

  /**
   * @param vectors [batch, length, modelDim]
   * @returns [batch, length, modelDim], owned by the caller.
   * @throws QkvError naming what does not fit; a cache stays as it was.
   */
  async forward(vectors: Tensor, options: ForwardOptions = {}): Promise<OwnedTensor> {
    this.#check(vectors, options)
    const { backend, config } = this
    return withTemporaries(async (scope) => {
      const { memory } = options
      const input = memory === undefined ? this.#embedded(vectors, options, scope) : vectors
      const attended = await (memory === undefined ? this.#self(input, options, scope) : this.#cross(input, memory, options, scope))
      const joined = joinHeads(backend, attended, scope)
      const opened = config.gate ? gated(backend, joined, this.#projections.project('gate', input, scope), config, scope) : joined
      const { weight, bias } = this.weights.pair('output')
      return backend.linear(opened, weight, bias)
    })
  }

  /** Projects what many inputs will attend to, once. @param memory [batch, memoryLength, memoryDim] */
  async project(memory: Tensor): Promise<ProjectedMemory> {
    this.weights.check()
    checkShape('MultiHeadAttention.project', 'memory', memory.shape, [-1, -1, this.config.memoryDim])
    const scope = temporaries()
    const { dispose } = scope
    return { ...this.#projections.keyValue(memory, scope), dispose, [Symbol.dispose]: dispose }
  }

  #embedded(input: Tensor, { cache, positions, counts }: ForwardOptions, scope: Temporaries): Tensor {
    const places = (): Positions => positions ?? nextPlaces(cache ?? { length: 0 }, input.shape[1] ?? 0, counts)
    return embedded(this.backend, input, this.config.embeddings, places, scope)
  }

  #self(input: Tensor, options: ForwardOptions, scope: Temporaries): Promise<Tensor> {
    const { cache, positions, counts, inspect } = options
    const { position, causal, window } = this.config
    const { query, key, value } = this.#projections.queryKeyValue(input, scope)
    const scores = this.#scores(options, cache === undefined ? causal : true, window)
    const asked = { query, key, value, position, positions, counts, inspect, options: scores }
    return cache === undefined ? attendSelf(this.backend, asked, scope) : attendCached(cache, asked, scope)
  }

  #cross(input: Tensor, memory: Tensor | ProjectedMemory, options: ForwardOptions, scope: Temporaries): Promise<Tensor> {
    const keyValue = 'key' in memory ? memory : this.#projections.keyValue(memory, scope)
    const query = this.#projections.query(input, scope)
    return attendAndShow(query, keyValue, { ...this.#scores(options), backend: this.backend }, options.inspect, scope)
  }

  /** What shapes the scores; causality and the window are self-attention's alone. */
  #scores(
    { mask, bias, score, lengths, dropout, signal, onProgress }: ForwardOptions,
    causal?: ProblemOptions['causal'],
    window?: ProblemOptions['window'],
  ): ProblemOptions & Watch {
    const { scale, softcap } = this.config
    const sinks = this.weights.find('sinks')
    return { scale, softcap, causal, window, sinks, mask, bias, score, lengths, dropout, signal, onProgress }
  }

  #check(input: Tensor, { cache, memory, lengths, positions, counts }: ForwardOptions): void {
    const operation = 'MultiHeadAttention.forward'
    const { modelDim, memoryDim, position, embeddings } = this.config
    this.checkCall(operation, input, modelDim, cache, counts)
    checkPositions(operation, memory === undefined ? [...position, ...embeddings] : [], positions)
    if (memory !== undefined && !('key' in memory))
      checkShape(operation, 'memory', memory.shape, [input.shape[0] ?? 0, -1, memoryDim])
    if (cache && memory) throw invalid(operation, 'memory', 'absent with a cache', 'both')
    if (cache && lengths) throw invalid(operation, 'lengths', 'absent with a cache', 'both')
  }
}
