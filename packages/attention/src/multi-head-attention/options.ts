import type { Alignment, Backend, Tensor } from '@qkv/core'
import type { EmbeddingEncoding, RotaryEncoding, ScoreEncoding } from '@qkv/positional'
import { checkRotaries, encodingsOf, isEmbedding, listOf, type PositionOptions } from '../positions.ts'
import { checkBackend, checkSizes, invalid } from '../refuse.ts'
import type { WeightShapes } from '../weights.ts'

export interface MultiHeadAttentionOptions {
  readonly backend: Backend
  /** Elements of an input and output vector. */
  readonly modelDim: number
  /** Query heads. */
  readonly heads: number
  /** Key/value heads, a divisor of `heads`: fewer for grouped queries, 1 for multi-query. Default `heads`. */
  readonly kvHeads?: number | undefined
  /** Elements of a query and key. Default modelDim / heads. */
  readonly headDim?: number | undefined
  /** Elements of a value. Default `headDim`. */
  readonly valueDim?: number | undefined
  /** Elements of what keys and values are made of, in cross-attention. Default `modelDim`. */
  readonly memoryDim?: number | undefined
  /** One matrix for queries, keys and values, `queryKeyValue.weight`, instead of three. */
  readonly fused?: boolean | undefined
  /** Which projections add a bias; default none. */
  readonly bias?: boolean | 'inputs' | 'output' | undefined
  /** Normalises queries and keys after projection: each head's vector, or all heads' together. */
  readonly queryKeyNorm?:
    | { readonly kind: 'rms' | 'layer'; readonly over?: 'head' | 'heads'; readonly epsilon?: number }
    | undefined
  /** Multiplies the heads' outputs by a sigmoid of a projection of the input: one number per head, or per element. */
  readonly gate?: 'head' | 'element' | undefined
  /** A learned logit per head that takes part in each softmax without a value. */
  readonly sinks?: boolean | undefined
  /** Default 1/√headDim. */
  readonly scale?: number | undefined
  readonly softcap?: number | undefined
  /** Self-attention sees no later token; always so with a cache. Default false. */
  readonly causal?: boolean | Alignment | undefined
  /** For self-attention: tokens seen to either side of a query's own. */
  readonly window?: { readonly left?: number | undefined; readonly right?: number | undefined } | undefined
  /**
   * For self-attention: one encoding or several that stack, as {@link PositionOptions} says, and as `fromConfig` lists them.
   * Embeddings are added to the input, before anything is projected.
   */
  readonly position?: PositionOptions['position']
  /** Named tensors, see {@link weightShapes}; without them, small random ones from `seed`. */
  readonly weights?: Readonly<Record<string, Tensor>> | undefined
  readonly seed?: number | undefined
}

/** What the options settle: sizes are numbers, choices are made. */
export interface MultiHeadConfig extends Pick<MultiHeadAttentionOptions, 'scale' | 'softcap' | 'causal' | 'window'> {
  readonly modelDim: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly valueDim: number
  readonly memoryDim: number
  readonly fused: boolean
  readonly inputBias: boolean
  readonly outputBias: boolean
  readonly queryKeyNorm: { readonly kind: 'rms' | 'layer'; readonly over: 'head' | 'heads'; readonly epsilon: number } | undefined
  readonly gate: 'head' | 'element' | undefined
  readonly sinks: boolean
  /** What acts in attention: none, one, or several. */
  readonly position: readonly (RotaryEncoding | ScoreEncoding)[]
  /** What is added to the input. */
  readonly embeddings: readonly EmbeddingEncoding[]
}

const operation = 'MultiHeadAttention'

/** @throws QkvError `OPTION_INVALID` naming the option at fault. */
export function multiHeadConfig(options: MultiHeadAttentionOptions): MultiHeadConfig {
  const { backend, modelDim, heads, kvHeads = heads, fused = false, bias = false, queryKeyNorm, gate, sinks = false } = options
  const { headDim = modelDim / heads, valueDim = headDim, memoryDim = modelDim } = options
  const sizes = { modelDim, heads, kvHeads, headDim, valueDim, memoryDim }
  checkBackend(operation, backend)
  checkSizes(operation, sizes)
  if (heads % kvHeads !== 0) throw invalid(operation, 'kvHeads', `a divisor of the ${heads} heads`, String(kvHeads))
  if (fused && memoryDim !== modelDim) {
    throw invalid(operation, 'fused', 'false where memoryDim is not modelDim', 'true')
  }
  const { scale, softcap, causal, window } = options
  const encodings = listOf(options.position)
  const embeddings = encodings.filter(isEmbedding)
  for (const { dim } of embeddings) if (dim !== modelDim) throw invalid(operation, 'position.dim', String(modelDim), String(dim))
  const position = encodingsOf(
    operation,
    encodings.filter((encoding) => !isEmbedding(encoding)),
  )
  checkRotaries(operation, position, headDim, false)
  return {
    ...sizes,
    fused,
    gate,
    sinks,
    scale,
    softcap,
    causal,
    window,
    position,
    embeddings,
    inputBias: bias === true || bias === 'inputs',
    outputBias: bias === true || bias === 'output',
    queryKeyNorm: queryKeyNorm && { over: 'head', epsilon: 1e-6, ...queryKeyNorm },
  }
}

/**
 * The names and shapes of a module's weights; matrices are [outputs, inputs]. Present as the options ask:
 *
 *     query.weight [heads·headDim, modelDim]         key.weight [kvHeads·headDim, memoryDim]
 *     value.weight [kvHeads·valueDim, memoryDim]     or queryKeyValue.weight, the three below one another
 *     output.weight [modelDim, heads·valueDim]       gate.weight [heads or heads·valueDim, modelDim]
 *     queryNorm.weight, keyNorm.weight               [headDim], or [heads·headDim], [kvHeads·headDim]
 *     sinks [heads]                                  and .bias beside each .weight that has one
 */
export function weightShapes(config: MultiHeadConfig): WeightShapes {
  const { modelDim, heads, kvHeads, headDim, valueDim, memoryDim, queryKeyNorm, gate } = config
  const shapes: Record<string, readonly number[]> = {}
  const projection = (name: string, outputs: number, inputs: number, bias: boolean): void => {
    shapes[`${name}.weight`] = [outputs, inputs]
    if (bias) shapes[`${name}.bias`] = [outputs]
  }
  if (config.fused) {
    projection('queryKeyValue', (heads + kvHeads) * headDim + kvHeads * valueDim, modelDim, config.inputBias)
  } else {
    projection('query', heads * headDim, modelDim, config.inputBias)
    projection('key', kvHeads * headDim, memoryDim, config.inputBias)
    projection('value', kvHeads * valueDim, memoryDim, config.inputBias)
  }
  if (queryKeyNorm) {
    for (const [name, count] of [
      ['queryNorm', heads],
      ['keyNorm', kvHeads],
    ] as const) {
      const size = queryKeyNorm.over === 'heads' ? count * headDim : headDim
      shapes[`${name}.weight`] = [size]
      if (queryKeyNorm.kind === 'layer') shapes[`${name}.bias`] = [size]
    }
  }
  if (gate) projection('gate', gate === 'head' ? heads : heads * valueDim, modelDim, config.inputBias)
  if (config.sinks) shapes['sinks'] = [heads]
  projection('output', modelDim, heads * valueDim, config.outputBias)
  return shapes
}

/** The rows of a fused projection, and of its bias, that make queries, keys and values. */
export function fusedRows({
  heads,
  kvHeads,
  headDim,
  valueDim,
}: MultiHeadConfig): Record<'query' | 'key' | 'value', [number, number]> {
  const keys = heads * headDim
  const values = keys + kvHeads * headDim
  return { query: [0, keys], key: [keys, values], value: [values, values + kvHeads * valueDim] }
}
