import type { AttentionProblem } from '../problem.ts'
import { lseBound, outputBound, rowError, type SoftmaxTerm } from './error-bound.ts'
import type { Platform } from './estimate.ts'
import { decodeInputs, type Inputs } from './inputs.ts'
import { keyVector, scoreRow, type PairScore } from './scores.ts'

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
  /** Before dropout, [batch, queryHeads, queryLength, keyLength]; rows sum to 1, less the sink's share. */
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
  const inputs = decodeInputs('reference', problem, options.backend)
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
      for (let i = 0; i < queryLength; i++, at++) attendRow(inputs, b, h, i, at, result)
    }
  }
  return result
}

/** Row `at` of all rows, which is query `i` of head `h` of batch entry `b`. */
function attendRow(inputs: Inputs, b: number, h: number, i: number, at: number, result: Reference): void {
  const { problem, arithmetic } = inputs
  const { keyLength, valueDim } = problem
  const seen = scoreRow(inputs, b, h, i)
  const { terms, maximum, lse } = softmax(seen, inputs.sinks?.[h])
  result.lse[at] = lse
  seen.forEach(({ key }, term) => {
    if (result.weights) result.weights[at * keyLength + key] = terms[term]?.weight ?? 0
  })
  if (terms.length === 0) return

  const error = rowError(terms, maximum, arithmetic)
  result.lseBound[at] = lseBound(terms, lse, maximum, error, arithmetic)
  for (let c = 0; c < valueDim; c++) {
    const values = valueColumn(inputs, seen, c, terms.length)
    const output = terms.reduce((sum, { weight }, term) => sum + weight * (values[term] ?? NaN), 0)
    result.output[at * valueDim + c] = output
    result.bound[at * valueDim + c] = outputBound(terms, values, output, error, inputs)
  }
}

/**
 * Component `c` of the values that a row sees, and 0 for the sink, which has none. Dropout multiplies weights after they
 * are normalised; multiplying the values instead comes to the same, and leaves weights that sum to 1.
 */
function valueColumn(inputs: Inputs, seen: readonly PairScore[], c: number, terms: number): Float64Array {
  const { value, problem, dropout } = inputs
  const column = new Float64Array(terms)
  seen.forEach(({ pair: { batch, head, row, key } }, term) => {
    const element = value[keyVector(inputs, batch, head, key) * problem.valueDim + c] ?? NaN
    column[term] = dropout ? dropout(batch, head, row, key) * element : element
  })
  return column
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
  const exponentials = scores.map(({ value }) => Math.exp(value - maximum))
  const sum = exponentials.reduce((total, exponential) => total + exponential, 0)
  const terms = scores.map(({ value, error }, term) => ({ score: value, error, weight: (exponentials[term] ?? NaN) / sum }))
  return { terms, maximum, lse: maximum + Math.log(sum) }
}
