import type { FloatDtype } from '@qkv/core'

/** Exact values, and what float32 arithmetic may be off by before rounding to a dtype. */
export interface Estimate {
  readonly values: Float64Array
  readonly error: Float64Array
}

interface Estimated {
  readonly value: number
  readonly error: number
}

export function estimate(count: number, at: (index: number) => Estimated): Estimate {
  const values = new Float64Array(count)
  const error = new Float64Array(count)
  for (let index = 0; index < count; index++) ({ value: values[index], error: error[index] } = at(index))
  return { values, error }
}

/** Of each element of rows of `dim`, by what is worked out once for its row. */
export function estimateRows(
  elements: Float64Array,
  dim: number,
  ofRow: (row: Float64Array) => (element: number, column: number) => Estimated,
): Estimate {
  let at = ofRow(elements.subarray(0, dim))
  return estimate(elements.length, (index) => {
    if (index % dim === 0) at = ofRow(elements.subarray(index, index + dim))
    return at(elements[index]!, index % dim)
  })
}

export function sumOf(terms: readonly number[]): Estimated {
  const value = terms.reduce((sum, term) => sum + term, 0)
  return { value, error: gamma(terms.length + 1) * terms.reduce((sum, term) => sum + Math.abs(term), 0) }
}

/** `added` + Σ a[k] · b[k] over `n` elements from `aStart` and `bStart` on. */
export function productSum(a: Float64Array, aStart: number, b: Float64Array, bStart: number, n: number, added: number): Estimated {
  let value = added
  let magnitude = Math.abs(added)
  for (let k = 0; k < n; k++) {
    const product = a[aStart + k]! * b[bStart + k]!
    value += product
    magnitude += Math.abs(product)
  }
  return { value, error: gamma(n + 2) * magnitude }
}

export function gamma(roundings: number): number {
  return (roundings * 2 ** -24) / (1 - roundings * 2 ** -24)
}

/** The relative error of rounding to a dtype. */
export const unitOf: Readonly<Record<FloatDtype, number>> = { float32: 2 ** -24, float16: 2 ** -11, bfloat16: 2 ** -8 }

export function largestMagnitude(largest: number, value: number): number {
  return Math.max(largest, Math.abs(value))
}

export function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
