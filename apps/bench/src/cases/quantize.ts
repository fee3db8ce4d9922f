import { roundTo, tensor, type HostTensor } from '@qkv/core'
import type { AttentionCase } from './case.ts'

export interface Stored {
  readonly stored: HostTensor
  /** One scale a vector, [batch, heads, length, 1]; of int8 and int4 only. */
  readonly scales: HostTensor | undefined
}

/**
 * Keys or values as a cache of the given dtype would hold them; int8 and int4 with one scale a vector, its largest element at 127 or
 * 7. Of int4 two elements share a byte, the even one in the low bits, each as 8 more than it is.
 */
export function quantize(
  values: Float32Array,
  shape: readonly [number, number, number, number],
  dtype: AttentionCase['keyDtype'],
): Stored {
  if (dtype === 'float32') return { stored: tensor(values, shape), scales: undefined }
  if (dtype === 'float16') return { stored: tensor(roundTo(values, 'float16'), shape, { dtype }), scales: undefined }
  const [batch, heads, length, dim] = shape
  const largestWhole = dtype === 'int8' ? 127 : 7
  const scales = new Float32Array(batch * heads * length)
  const quantized = new Int8Array(values.length)
  scales.forEach((_, row) => {
    const vector = values.subarray(row * dim, (row + 1) * dim)
    const scale = Math.fround(vector.reduce((largest, element) => Math.max(largest, Math.abs(element)), 0) / largestWhole) || 1
    scales[row] = scale
    vector.forEach((element, c) => (quantized[row * dim + c] = Math.round(element / scale)))
  })
  const stored = dtype === 'int8' ? tensor(quantized, shape) : tensor(inPairs(quantized), [batch, heads, length, dim / 2])
  return { stored, scales: tensor(scales, [batch, heads, length, 1]) }
}

function inPairs(wholes: Int8Array): Uint8Array {
  return Uint8Array.from({ length: wholes.length / 2 }, (_, i) => wholes[2 * i]! + 8 + ((wholes[2 * i + 1]! + 8) << 4))
}
