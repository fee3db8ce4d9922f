import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import type { AttentionCase, LinearCase, SequenceCase } from './case.ts'

/** What every contestant of a case is given: row-major float32, the same numbers in every process. */
export interface AttentionVectors {
  /** [batch, queryHeads, queryLength, headDim] */
  readonly query: Float32Array
  /** [batch, keyHeads, keyLength, headDim] */
  readonly key: Float32Array
  /** [batch, keyHeads, keyLength, valueDim] */
  readonly value: Float32Array
  /** [batch, queryHeads, queryLength, valueDim]; of gradient cases. */
  readonly dOutput: Float32Array | undefined
  /** [queryHeads] */
  readonly sinks: Float32Array | undefined
  /** [1, queryHeads, queryLength, keyLength]; of T5, what its table says of every pair. */
  readonly bias: Float32Array | undefined
  /** [32, queryHeads] */
  readonly t5Table: Float32Array | undefined
}

export interface LinearVectors {
  /** [rows, inputs] */
  readonly input: Float32Array
  /** [outputs, inputs] */
  readonly weight: Float32Array
}

/** Made once for each case object: both who computes and who checks ask for them. */
export function attentionVectors(bench: AttentionCase): AttentionVectors {
  const known = made.get(bench) ?? makeVectors(bench)
  made.set(bench, known)
  return known
}

const made = new WeakMap<AttentionCase, AttentionVectors>()

function makeVectors(bench: AttentionCase): AttentionVectors {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim } = bench
  const t5Table = bench.t5 ? normal(7, 32 * queryHeads) : undefined
  return {
    query: normal(1, batch * queryHeads * queryLength * headDim),
    key: normal(2, batch * keyHeads * keyLength * headDim),
    value: normal(3, batch * keyHeads * keyLength * valueDim),
    dOutput: bench.gradient ? normal(4, batch * queryHeads * queryLength * valueDim) : undefined,
    sinks: bench.sinks ? normal(5, queryHeads) : undefined,
    bias: bench.bias ? normal(6, queryHeads * queryLength * keyLength) : t5Table && t5BiasOf(bench, t5Table),
    t5Table,
  }
}

/**
 * T5's bias of every pair, for who has no table. Raffel et al. 2019: buckets 0–15 for keys at or before the query and 16–31 for keys
 * after it; of each, 8 for distances of their own, and 8 that widen logarithmically up to a distance of 128.
 */
function t5BiasOf({ queryHeads, queryLength, keyLength }: AttentionCase, table: Float32Array): Float32Array {
  const bucketOf = (distance: number): number =>
    distance < 8 ? distance : Math.min(15, 8 + Math.floor(2 * Math.log2(distance / 8)))
  const bias = new Float32Array(queryHeads * queryLength * keyLength)
  for (let head = 0, at = 0; head < queryHeads; head++) {
    for (let query = keyLength - queryLength; query < keyLength; query++) {
      for (let key = 0; key < keyLength; key++) {
        const bucket = bucketOf(Math.abs(key - query)) + (key > query ? 16 : 0)
        bias[at++] = table[bucket * queryHeads + head]!
      }
    }
  }
  return bias
}

export function linearVectors({ rows, inputs, outputs }: LinearCase): LinearVectors {
  return { input: normal(1, rows * inputs), weight: normal(2, outputs * inputs) }
}

/** Of a sequence case: what is read, and the weights of either layer that may read it. */
export interface SequenceVectors {
  /** [length, width] */
  readonly input: Float32Array
  /** Query, key, value and output projections of attention, each [width, width] as outputs × inputs. */
  readonly projections: readonly [Float32Array, Float32Array, Float32Array, Float32Array]
  /** Input weights [4 · width, width] of an LSTM, its gates in the order input, output, forget, cell. */
  readonly inputWeights: Float32Array
  /** Recurrent weights, likewise. */
  readonly recurrentWeights: Float32Array
}

export function sequenceVectors({ length, width }: SequenceCase): SequenceVectors {
  const weights = (seed: number, rows: number): Float32Array =>
    normal(seed, rows * width).map((weight) => weight / Math.sqrt(width))
  return {
    input: normal(1, length * width),
    projections: [weights(2, width), weights(3, width), weights(4, width), weights(5, width)],
    inputWeights: weights(6, 4 * width),
    recurrentWeights: weights(7, 4 * width),
  }
}

/** [batch, heads, length, dim] as [batch, length, heads·dim], which some peers want; and back with lengths and heads swapped. */
export function swapHeadsAndLength(values: Float32Array, batch: number, heads: number, length: number, dim: number): Float32Array {
  const swapped = new Float32Array(values.length)
  for (let b = 0, from = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < length; i++, from += dim)
        swapped.set(values.subarray(from, from + dim), ((b * length + i) * heads + h) * dim)
    }
  }
  return swapped
}

/** Keys or values repeated so that every query head has its own, for peers without grouped heads. */
export function repeatHeads(values: Float32Array, bench: AttentionCase, dim: number): Float32Array {
  const { batch, queryHeads, keyHeads, keyLength } = bench
  const size = keyLength * dim
  const repeated = new Float32Array(batch * queryHeads * size)
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) {
      const from = (b * keyHeads + Math.floor((h * keyHeads) / queryHeads)) * size
      repeated.set(values.subarray(from, from + size), (b * queryHeads + h) * size)
    }
  }
  return repeated
}

/** Standard normal numbers by Box and Muller, from a seed. */
function normal(seed: number, count: number): Float32Array {
  const generator = xoroshiro128plus(seed)
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(generator)))
    values[i] = radius * Math.cos(2 * Math.PI * uniformFloat64(generator))
  }
  return values
}
