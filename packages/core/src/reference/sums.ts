import { accumulated, underflow, type Arithmetic, type Estimate } from '../estimate.ts'

/** Exact values with what no correct float32 kernel is further from them than; row-major. */
export interface Bounded {
  readonly values: Float64Array
  readonly bound: Float64Array
}

/** Sums that a kernel forms in float32 in whatever order, one for each element of a gradient. */
export interface Sums {
  add(element: number, term: Estimate): void
  /** Nothing can be said of what a kernel makes of these sums. */
  giveUp(): void
  finish(arithmetic: Arithmetic): Bounded
}

/** Each term may have been rounded on its way: multiplied by a scale, stored by a part that is summed apart. */
const roundingsPerTerm = 3

/** The bound of a sum: its terms' errors, and γ(n) of their magnitudes for n roundings. */
export function makeSums(elements: number): Sums {
  const values = new Float64Array(elements)
  const errors = new Float64Array(elements)
  const magnitudes = new Float64Array(elements)
  const terms = new Uint32Array(elements)
  return {
    add(element, { value, error }) {
      values[element] = (values[element] ?? 0) + value
      errors[element] = (errors[element] ?? 0) + error + underflow
      magnitudes[element] = (magnitudes[element] ?? 0) + Math.abs(value) + error
      terms[element] = (terms[element] ?? 0) + 1
    },
    giveUp() {
      errors.fill(Infinity)
    },
    finish: (arithmetic) => ({
      values,
      bound: errors.map((error, element) => {
        const count = terms[element] ?? 0
        return count === 0 ? error : error + accumulated(count + roundingsPerTerm, arithmetic) * (magnitudes[element] ?? 0)
      }),
    }),
  }
}
