import type { HostTensor } from '@qkv/core'
import { forEachRow, loadRow, storeRow } from './rows.ts'

/**
 * Vectors as whole multiples of a scale for each group of their elements: int8, or two 4-bit elements a byte. A group with
 * a NaN gets a scale that is one, so that it is not lost.
 */
export function quantize(source: HostTensor, target: HostTensor, scales: HostTensor): void {
  const levels = target.dtype === 'int8' ? 127 : 7
  const row = new Float64Array(source.shape.at(-1)!)
  const factors = new Float64Array(scales.shape.at(-1)!)
  const bytes = new Float64Array(target.shape.at(-1)!)
  const groupSize = row.length / factors.length
  forEachRow(source.shape, [source, target, scales], ([from = 0, to = 0, scalesAt = 0]) => {
    loadRow(source, from, row)
    for (let group = 0; group < factors.length; group++) {
      const elements = row.subarray(group * groupSize, (group + 1) * groupSize)
      factors[group] = Math.fround(largestMagnitude(elements) / levels)
      toMultiples(elements, factors[group]!, levels)
    }
    if (target.dtype === 'uint8') pack(row, bytes)
    storeRow(target, to, target.dtype === 'uint8' ? bytes : row)
    storeRow(scales, scalesAt, factors)
  })
}

function largestMagnitude(elements: Float64Array): number {
  let largest = 0
  for (const element of elements) largest = Math.max(largest, Math.abs(element))
  return largest
}

/** In place; all 0 where the scale is 0 or not a number. A scale that float32 holds as a subnormal may be too small: clamped. */
function toMultiples(elements: Float64Array, scale: number, levels: number): void {
  for (let i = 0; i < elements.length; i++) {
    const multiple = scale > 0 ? Math.round(elements[i]! / scale) : 0
    elements[i] = Math.max(-levels, Math.min(levels, multiple))
  }
}

/** Two elements a byte, the even one in the low bits, each offset by 8. */
function pack(elements: Float64Array, bytes: Float64Array): void {
  for (let byte = 0; byte < bytes.length; byte++) bytes[byte] = elements[2 * byte]! + 8 + 16 * (elements[2 * byte + 1]! + 8)
}
