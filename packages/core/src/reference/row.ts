import { lseBound, outputBound, rowError, type SoftmaxTerm } from './error-bound.ts'
import type { Inputs } from './inputs.ts'
import { keyVector, scoreRow, type PairScore } from './scores.ts'

/** One query row's attention, with the bounds of a float32 kernel's error. */
export interface Row {
  /** The keys that the row sees. */
  readonly seen: readonly PairScore[]
  /** What the softmax is made of: a term for each key seen and, last, the sink, if there is one. */
  readonly terms: readonly SoftmaxTerm[]
  readonly lse: number
  readonly lseBound: number
  /** [valueDim] */
  readonly output: Float64Array
  readonly bound: Float64Array
}

/** Query `i` of head `h` of batch entry `b`. */
export function attendRow(inputs: Inputs, b: number, h: number, i: number): Row {
  const { problem, arithmetic } = inputs
  const output = new Float64Array(problem.valueDim)
  const bound = new Float64Array(problem.valueDim)
  const seen = scoreRow(inputs, b, h, i)
  const { terms, maximum, lse } = softmax(seen, inputs.sinks?.[h])
  if (terms.length === 0) return { seen, terms, lse, lseBound: 0, output, bound }

  const error = rowError(terms, maximum, arithmetic)
  for (let c = 0; c < problem.valueDim; c++) {
    const values = valueColumn(inputs, seen, c, terms.length)
    output[c] = terms.reduce((sum, { weight }, term) => sum + weight * (values[term] ?? NaN), 0)
    bound[c] = outputBound(terms, values, output[c] ?? NaN, error, inputs)
  }
  return { seen, terms, lse, lseBound: lseBound(terms, lse, maximum, error, arithmetic), output, bound }
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

/** Weights exp(s − m) / Σ exp(s − m), and log Σ exp(s). */
function softmax(seen: readonly PairScore[], sink: number | undefined): { terms: SoftmaxTerm[]; maximum: number; lse: number } {
  const scores = seen.map(({ final }) => final)
  if (sink !== undefined && sink !== -Infinity) scores.push({ value: sink, error: 0 })
  const maximum = scores.reduce((highest, { value }) => Math.max(highest, value), -Infinity)
  if (scores.length === 0) return { terms: [], maximum, lse: -Infinity }
  const exponentials = scores.map(({ value }) => Math.exp(value - maximum))
  const sum = exponentials.reduce((total, exponential) => total + exponential, 0)
  const terms = scores.map(({ value, error }, term) => ({ score: value, error, weight: (exponentials[term] ?? NaN) / sum }))
  return { terms, maximum, lse: maximum + Math.log(sum) }
}
