import type { AttentionProblem } from '../problem.ts'
import type { Platform } from '../estimate.ts'
import { decodeInputs } from './inputs.ts'
import { attendRow } from './row.ts'

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
 * @throws QkvError `OPTION_INVALID` where a tensor is not in host memory, `EXPRESSION_REJECTED` where an expression may read
 * outside a captured one.
 */
export function reference(problem: AttentionProblem, options: ReferenceOptions = {}): Reference {
  const { batch, queryHeads, queryLength, keyLength, valueDim } = problem
  const inputs = decodeInputs('reference', problem, options.backend)
  const rows = batch * queryHeads * queryLength
  const output = new Float64Array(rows * valueDim)
  const bound = new Float64Array(rows * valueDim)
  const lse = new Float64Array(rows)
  const lseBound = new Float64Array(rows)
  const weights = options.weights ? new Float64Array(rows * keyLength) : undefined
  for (let at = 0, b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) {
      for (let i = 0; i < queryLength; i++, at++) {
        const row = attendRow(inputs, b, h, i)
        output.set(row.output, at * valueDim)
        bound.set(row.bound, at * valueDim)
        lse[at] = row.lse
        lseBound[at] = row.lseBound
        row.seen.forEach(({ pair }, term) => {
          if (weights) weights[at * keyLength + pair.key] = row.terms[term]?.weight ?? 0
        })
      }
    }
  }
  return { output, bound, lse, lseBound, weights }
}
