import { bytesPerElement, type Dtype } from './dtype.ts'

/** A problem's sizes; what is left out follows from the rest. Sizes are per layer. */
export interface CostShape {
  readonly batch?: number
  readonly queryHeads: number
  /** Default `queryHeads`; fewer when query heads share keys and values. */
  readonly keyHeads?: number
  readonly queryLength: number
  /** Default `queryLength`. */
  readonly keyLength?: number
  readonly headDim: number
  /** Default `headDim`. */
  readonly valueDim?: number
  /** Each query sees the keys up to its own position, the last query the last key. */
  readonly causal?: boolean
  /** Of queries, keys, values and output; default float32. */
  readonly dtype?: Dtype
}

export interface Cost {
  /** Pairs of a query and a key that it sees, over all query heads: 16,777,216 a head for 4,096 tokens, unless causal. */
  readonly scores: number
  /** Multiplications and additions of the two products: 2·headDim for a score, 2·valueDim for its share of the output. */
  readonly flops: number
  /** Reading queries, keys and values once and writing the output once: the least that any algorithm moves. */
  readonly bytesMoved: number
  /** One matrix with every score in it, seen or not, in the dtype: what attention as three separate steps writes down. */
  readonly materializedBytes: number
  /** What attention by tiles keeps instead: one float32 log-sum-exp for each query and head. */
  readonly flashBytes: number
  /** Keys and values of one layer, as a cache holds them between tokens. */
  readonly cacheBytes: number
}

/** What attention costs, from its sizes alone. An {@link AttentionProblem} has these sizes; its window is not counted. */
export function cost(shape: CostShape): Cost {
  const { batch = 1, queryHeads, keyHeads = queryHeads, queryLength, keyLength = queryLength, headDim, dtype = 'float32' } = shape
  const valueDim = shape.valueDim ?? headDim
  const bytes = bytesPerElement[dtype]
  const rows = batch * queryHeads * queryLength
  const keys = batch * keyHeads * keyLength
  const scores = batch * queryHeads * (shape.causal ? causalPairs(queryLength, keyLength) : queryLength * keyLength)
  return {
    scores,
    flops: 2 * scores * (headDim + valueDim),
    bytesMoved: bytes * (rows + keys) * (headDim + valueDim),
    materializedBytes: bytes * rows * keyLength,
    flashBytes: bytesPerElement.float32 * rows,
    cacheBytes: bytes * keys * (headDim + valueDim),
  }
}

/** Query `i` of `queries` sees `keys − queries + i + 1` keys, none where that is negative: the sum of those counts. */
function causalPairs(queries: number, keys: number): number {
  const seeing = Math.min(queries, keys)
  return (seeing * (2 * keys - seeing + 1)) / 2
}
