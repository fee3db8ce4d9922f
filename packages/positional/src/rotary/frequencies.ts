import { checkPositive } from '../refuse.ts'

/** θᵢ = base^(−2i/dim) for each pair of elements, in radians per position. */
export function rotaryFrequencies(dim: number, base = 10000, operation = 'rotary'): Float64Array {
  checkPositive(operation, 'base', base)
  return Float64Array.from({ length: dim / 2 }, (_, pair) => base ** ((-2 * pair) / dim))
}

/** [axes, pairs] Frequencies of pairs that each turn with one axis of the position. */
export function oneAxisEach(frequencies: Float64Array, axisOfPair: readonly number[], axes: number): Float64Array {
  const pairs = frequencies.length
  const matrix = new Float64Array(axes * pairs)
  axisOfPair.forEach((axis, pair) => (matrix[axis * pairs + pair] = frequencies[pair]!))
  return matrix
}
