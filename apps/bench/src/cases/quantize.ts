import { roundTo, tensor, type HostTensor } from '@qkv/core'

export interface Stored {
  readonly stored: HostTensor
  /** One scale a vector, [batch, heads, length, 1]; of int8 only. */
  readonly scales: HostTensor | undefined
}

/** Keys or values as a cache of the given dtype would hold them; int8 with one scale a vector, its largest element at 127. */
export function quantize(
  values: Float32Array,
  shape: readonly [number, number, number, number],
  dtype: 'float32' | 'float16' | 'int8',
): Stored {
  if (dtype === 'float32') return { stored: tensor(values, shape), scales: undefined }
  if (dtype === 'float16') return { stored: tensor(roundTo(values, 'float16'), shape, { dtype }), scales: undefined }
  const [batch, heads, length, dim] = shape
  const scales = new Float32Array(batch * heads * length)
  const quantized = new Int8Array(values.length)
  scales.forEach((_, row) => {
    const vector = values.subarray(row * dim, (row + 1) * dim)
    const scale = Math.fround(vector.reduce((largest, element) => Math.max(largest, Math.abs(element)), 0) / 127) || 1
    scales[row] = scale
    vector.forEach((element, c) => (quantized[row * dim + c] = Math.round(element / scale)))
  })
  return { stored: tensor(quantized, shape), scales: tensor(scales, [batch, heads, length, 1]) }
}
