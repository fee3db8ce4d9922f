/** θᵢ = base^(−2i/dim) for each pair of elements, in radians per position. */
export function rotaryFrequencies(dim: number, base: number): Float64Array {
  return Float64Array.from({ length: dim / 2 }, (_, pair) => base ** ((-2 * pair) / dim))
}
