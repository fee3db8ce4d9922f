import {
  firstPosition,
  isTensor,
  problem,
  slice,
  toFloat64,
  visibleKeys,
  type AttentionProblem,
  type Backend,
  type HostTensor,
  type ProblemOptions,
  type Tensor,
} from '@qkv/core'
import { checkCaptures, compileExpression, type CompiledExpression } from '@qkv/core/expression'
import { dequantize } from '../cache/dequantize.ts'
import { positioned } from '../positioned.ts'
import { bringHome, checkPositions, encodingsOf, type PositionOptions } from '../positions.ts'
import { checkWhole, onHost } from '../refuse.ts'
import { rotatedOnHost } from './rotated-on-host.ts'

/** The options of attention that shape its weights, and which of them to look at. */
export interface WeightOptions extends Omit<ProblemOptions, 'dropout' | 'valueScales'>, PositionOptions {
  /** Which batch entry; default 0. */
  readonly batch?: number | undefined
  /** Which query heads, in this order; default all. */
  readonly heads?: readonly number[] | undefined
  /** Which queries, in this order; default all. */
  readonly rows?: readonly number[] | undefined
}

/** One query's weights over the keys. The next row reuses `weights`: copy what is to stay. */
export interface WeightRow {
  /** Place of the head and row among the chosen ones. */
  readonly head: number
  readonly row: number
  /** The query's number, and the head's. */
  readonly query: number
  readonly queryHead: number
  /** The query's own position among the keys. */
  readonly position: number
  /** [keyLength]; sums to 1, less the sink's share, or to 0 where the query sees no key. */
  readonly weights: Float64Array
  /** The share of the learned sink logit. */
  readonly sink: number
}

/** How many rows and heads a walk visits. */
export interface WeightSizes {
  readonly heads: readonly number[]
  readonly rows: readonly number[]
  readonly keyLength: number
}

/**
 * Visits the softmax weights of the chosen rows one at a time, on the host, in float64 from float32 queries and keys (turned
 * and dequantised ones are rounded to that), by attention's own order of steps: scale, softcap, bias, score expression, masks,
 * softmax with the sink. One row is in memory at a time, so maps of any length can be summed up.
 *
 * @throws QkvError as `attention` does; `OPTION_INVALID` for rows and heads that there are not.
 */
export function eachWeightRow(
  operation: string,
  query: Tensor,
  key: Tensor,
  options: WeightOptions,
  visit: (row: WeightRow) => void,
): WeightSizes {
  // A layer hands on all of attention's options: values, and what is dropped of them, are not seen here.
  const { keyScales, ...shown } = { ...options, dropout: undefined, valueScales: undefined }
  const given = problem(query, key, key, { ...shown, keyScales, valueScales: keyScales })
  const sizes = chosen(operation, given, options)
  const plain = keyScales === undefined ? given : unquantized(operation, given, shown)
  const source = rowSource(operation, withPositions(operation, plain, shown), options.batch ?? 0)
  const weights = new Float64Array(given.keyLength)
  sizes.heads.forEach((queryHead, head) => {
    sizes.rows.forEach((at, row) => {
      const { position, sink } = softmaxRow(source, queryHead, at, weights)
      visit({ head, row, query: at, queryHead, position, weights, sink })
    })
  })
  return sizes
}

/** The options with those of their tensors in host memory that live on a backend. */
export async function optionsAtHome(backend: Backend, options: WeightOptions): Promise<WeightOptions> {
  const { mask, bias, sinks, lengths, keyScales } = options
  const home = async <T>(option: T): Promise<T | HostTensor> => (isTensor(option) ? bringHome(backend, option) : option)
  return {
    ...options,
    mask: await home(mask),
    bias: await home(bias),
    sinks: await home(sinks),
    lengths: await home(lengths),
    keyScales: await home(keyScales),
  }
}

/** The problem with its positions in it, as `prepare` makes it on a backend. */
function withPositions(operation: string, plain: AttentionProblem, options: ProblemOptions & PositionOptions): AttentionProblem {
  const encodings = encodingsOf(operation, options.position)
  checkPositions(operation, encodings, options.positions)
  if (encodings.length === 0) return plain
  const { query, key, score } = positioned(operation, plain, encodings, options, (view, table) =>
    rotatedOnHost(operation, view, table),
  )
  return problem(query, key, key, { ...options, score, scale: plain.scale })
}

/** The same problem over the keys that quantised ones stand for. */
function unquantized(operation: string, { query, key, keyScales }: AttentionProblem, options: ProblemOptions): AttentionProblem {
  const keys = keyScales ? dequantize(onHost(operation, 'key', key), onHost(operation, 'keyScales', keyScales)) : key
  return problem(query, keys, keys, options)
}

function chosen(
  operation: string,
  { batch, queryHeads, queryLength, keyLength }: AttentionProblem,
  { batch: entry = 0, heads, rows }: WeightOptions,
): WeightSizes {
  checkWhole(operation, 'batch', [entry], 0, Math.max(1, batch) - 1)
  const pick = (argument: string, picked: readonly number[] | undefined, count: number): readonly number[] => {
    if (picked === undefined) return Array.from({ length: batch === 0 ? 0 : count }, (_, index) => index)
    checkWhole(operation, argument, picked, 0, count - 1)
    return picked
  }
  return { heads: pick('heads', heads, queryHeads), rows: pick('rows', rows, queryLength), keyLength }
}

/** A problem's numbers for one batch entry, decoded. */
interface RowSource {
  readonly problem: AttentionProblem
  readonly batch: number
  readonly validKeys: number
  readonly first: number
  readonly query: Float64Array
  readonly key: Float64Array
  readonly sinks: Float64Array | undefined
  readonly score: CompiledExpression | undefined
  readonly mask: CompiledExpression | undefined
}

function rowSource(operation: string, problem: AttentionProblem, batch: number): RowSource {
  checkCaptures(operation, problem)
  const { lengths, keyLength, scoreMod, maskMod } = problem
  const entry = (view: Tensor): Float64Array =>
    problem.batch === 0 ? new Float64Array() : numbers(operation, slice(view, 0, batch, batch + 1))
  const validKeys = lengths === undefined ? keyLength : (entry(lengths)[0] ?? 0)
  return {
    problem,
    batch,
    validKeys,
    first: firstPosition(problem, validKeys),
    query: entry(problem.query),
    key: entry(problem.key),
    sinks: problem.sinks && numbers(operation, problem.sinks),
    score: scoreMod && compileExpression(scoreMod.node),
    mask: maskMod && compileExpression(maskMod.node),
  }
}

/** Fills `weights` with row `i` of head `h`. */
function softmaxRow(source: RowSource, h: number, i: number, weights: Float64Array): { position: number; sink: number } {
  const { problem, batch, validKeys, query, key } = source
  const { headDim: d, keyLength, queryLength, group, scale, softcap } = problem
  const position = source.first + i
  const { first, end } = visibleKeys(problem, position, validKeys)
  const bias = scoreRow(problem.bias, batch, h, i)
  const allowed = scoreRow(problem.mask, batch, h, i)
  const q = (h * queryLength + i) * d
  const sink = source.sinks?.[h] ?? -Infinity
  weights.fill(-Infinity)
  for (let j = first; j < end; j++) {
    if (allowed?.[j] === 0 || source.mask?.(batch, h, position, j, i, NaN) === 0) continue
    const k = (Math.floor(h / group) * keyLength + j) * d
    let s = 0
    for (let c = 0; c < d; c++) s += query[q + c]! * key[k + c]!
    s *= scale
    if (softcap > 0) s = softcap * Math.tanh(s / softcap)
    if (bias) s += bias[j]!
    // A bias of −∞ is a mask, whatever a score expression would make of it.
    if (s === -Infinity) continue
    if (source.score) s = source.score(batch, h, position, j, i, s)
    weights[j] = s
  }
  const highest = weights.reduce((most, score) => Math.max(most, score), sink)
  const share = (score: number): number => (score === -Infinity ? 0 : Math.exp(score - highest))
  const sum = weights.reduce((total, score) => total + share(score), share(sink)) || 1
  weights.forEach((score, j) => (weights[j] = share(score) / sum))
  return { position, sink: share(sink) / sum }
}

/** The row of a tensor that broadcasts to [batch, heads, queries, keys]; only this row is decoded. */
function scoreRow(view: Tensor | undefined, batch: number, h: number, i: number): Float64Array | undefined {
  if (view === undefined) return undefined
  const row = [batch, h, i].reduce((part, index, axis) => slice(part, axis, index, index + 1), view)
  return numbers('inspect', row)
}

function numbers(operation: string, view: Tensor): Float64Array {
  return toFloat64(onHost(operation, 'tensors', view))
}
