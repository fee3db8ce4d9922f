import { roundTo } from '@qkv/core'

export interface Quantised {
  /** In the dtype's range, row-major; bytes hold two elements, the even one in the low bits. */
  readonly elements: Int8Array | Uint8Array
  /** One for each group of elements. */
  readonly scales: Float32Array
}

/** Vectors quantised by the greatest magnitude of each group of elements. A group with a NaN gets NaN for its scale. */
export function quantise(vectors: Float64Array, dtype: 'int8' | 'uint8', groupSize: number): Quantised {
  const largest = dtype === 'int8' ? 127 : 7
  const scales = Float32Array.from({ length: vectors.length / groupSize }, (_, group) => {
    const elements = vectors.subarray(group * groupSize, (group + 1) * groupSize)
    return elements.reduce((most, element) => Math.max(most, Math.abs(element)), 0) / largest
  })
  const whole = vectors.map((element, index) => {
    const scale = scales[Math.floor(index / groupSize)] ?? NaN
    return scale > 0 ? Math.max(-largest, Math.min(largest, Math.round(element / scale))) : 0
  })
  if (dtype === 'int8') return { elements: roundTo(whole, 'int8'), scales }
  const nibble = (index: number): number => (whole[index] ?? 0) + 8
  return {
    elements: Uint8Array.from({ length: whole.length / 2 }, (_, byte) => nibble(2 * byte) + 16 * nibble(2 * byte + 1)),
    scales,
  }
}
