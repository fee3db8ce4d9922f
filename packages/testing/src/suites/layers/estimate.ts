import type { FloatDtype } from '@qkv/core'

/** Exact values, and what float32 arithmetic may be off by before rounding to a dtype. */
export interface Estimate {
  readonly values: Float64Array
  readonly error: Float64Array
}

export function estimate(count: number, at: (index: number) => { value: number; error: number }): Estimate {
  const values = new Float64Array(count)
  const error = new Float64Array(count)
  for (let index = 0; index < count; index++) ({ value: values[index], error: error[index] } = at(index))
  return { values, error }
}

export function sumOf(terms: readonly number[]): { value: number; error: number } {
  const value = terms.reduce((sum, term) => sum + term, 0)
  return { value, error: gamma(terms.length + 1) * terms.reduce((sum, term) => sum + Math.abs(term), 0) }
}

export function gamma(roundings: number): number {
  return (roundings * 2 ** -24) / (1 - roundings * 2 ** -24)
}

/** The relative error of rounding to a dtype. */
export const unitOf: Readonly<Record<FloatDtype, number>> = { float32: 2 ** -24, float16: 2 ** -11, bfloat16: 2 ** -8 }

export function rowAt(values: Float64Array, dim: number, index: number): Float64Array {
  const start = index - (index % dim)
  return values.subarray(start, start + dim)
}

export function largestMagnitude(largest: number, value: number): number {
  return Math.max(largest, Math.abs(value))
}

export function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
