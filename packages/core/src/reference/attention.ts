import { isFloat } from '../dtype.ts'
import type { AttentionProblem } from '../problem.ts'
import { lseBound, outputBound, rowError, type SoftmaxTerm } from './error-bound.ts'
import { platforms, type Platform } from './estimate.ts'
import { decodeInputs, type Inputs } from './inputs.ts'
import { scoreRow, type PairScore } from './scores.ts'

export interface ReferenceOptions {
  /** Whose float32 arithmetic the bounds are for; default `'cpu'`. */
  readonly backend?: Platform | undefined
  /** Also return the softmax weights. */
  readonly weights?: boolean | undefined
}

/** All row-major. */
export interface Reference {
  /** [batch, queryHeads, queryLength, valueDim] */
  readonly output: Float64Array
  /** What no correct float32 kernel's output is further from `output` than. */
  readonly bound: Float64Array
  /** [batch, queryHeads, queryLength] */
  readonly lse: Float64Array
  readonly lseBound: Float64Array
  /** [batch, queryHeads, queryLength, keyLength]; rows sum to 1, less the sink's share. */
  readonly weights: Float64Array | undefined
}

/**
 * Attention as its formula says, softmax(scores)·V in two passes over each row, in float64: slow, exact to about 1e-15,
 * and the measure of every kernel. Inputs count as they are stored, already rounded to their dtype. Each output comes
 * with a componentwise error bound (see `error-bound.ts`), so that a comparison needs no chosen tolerance.
 *
 * @throws QkvError `OPTION_INVALID` where a tensor is not in host memory.
 */
export function reference(problem: AttentionProblem, options: ReferenceOptions = {}): Reference {
  const { batch, queryHeads, queryLength, keyLength, valueDim } = problem
  const inputs = decodeInputs('reference', problem)
  const platform = options.backend ?? 'cpu'
  const rows = batch * queryHeads * queryLength
  const result: Reference = {
    output: new Float64Array(rows * valueDim),
    bound: new Float64Array(rows * valueDim),
    lse: new Float64Array(rows),
    lseBound: new Float64Array(rows),
    weights: options.weights ? new Float64Array(rows * keyLength) : undefined,
  }
  for (let at = 0, b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) {
      for (let i = 0; i < queryLength; i++, at++) attendRow(inputs, b, h, i, at, platform, result)
    }
  }
  return result
}

function attendRow(inputs: Inputs, b: number, h: number, i: number, at: number, platform: Platform, result: Reference): void {
  const { problem, value } = inputs
  const { keyLength, valueDim } = problem
  const arithmetic = platforms[platform]
  const seen = scoreRow(inputs, b, h, i, arithmetic)
  const { terms, maximum, lse } = softmax(seen, inputs.sinks?.[h])
  result.lse[at] = lse
  seen.forEach(({ key }, term) => result.weights?.fill(terms[term]?.weight ?? 0, at * keyLength + key, at * keyLength + key + 1))
  if (terms.length === 0) return

  const error = rowError(terms, maximum, arithmetic)
  result.lseBound[at] = lseBound(terms, lse, maximum, error, arithmetic)
  const valueHead = b * problem.keyHeads + Math.floor(h / problem.group)
  const dtype = isFloat(problem.query.dtype) ? problem.query.dtype : 'float32'
  for (let c = 0; c < valueDim; c++) {
    const valueOf = (term: number): number => {
      const pair = seen[term]
      return pair === undefined ? 0 : (value[(valueHead * keyLength + pair.key) * valueDim + c] ?? NaN)
    }
    const output = terms.reduce((sum, { weight }, term) => sum + weight * valueOf(term), 0)
    result.output[at * valueDim + c] = output
    result.bound[at * valueDim + c] = outputBound(terms, valueOf, output, error, dtype, platform, arithmetic)
  }
}

/** The row's terms, the sink's last, with weights exp(s − m) / Σ exp(s − m), and log Σ exp(s). */
export function softmax(
  seen: readonly PairScore[],
  sink: number | undefined,
): { terms: SoftmaxTerm[]; maximum: number; lse: number } {
  const scores = seen.map(({ final }) => final)
  if (sink !== undefined && sink !== -Infinity) scores.push({ value: sink, error: 0 })
  const maximum = scores.reduce((highest, { value }) => Math.max(highest, value), -Infinity)
  if (scores.length === 0) return { terms: [], maximum, lse: -Infinity }
  const sum = scores.reduce((total, { value }) => total + Math.exp(value - maximum), 0)
  const terms = scores.map(({ value, error }) => ({ score: value, error, weight: Math.exp(value - maximum) / sum }))
  return { terms, maximum, lse: maximum + Math.log(sum) }
}
