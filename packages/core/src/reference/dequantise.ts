import { toFloat64 } from '../convert.ts'
import type { HostTensor } from '../tensor.ts'

/**
 * What quantised keys or values stand for, exactly, row-major: whole numbers times the scale of their group of elements;
 * see {@link AttentionProblem}.
 *
 * @param quantised int8 [batch, heads, length, dim], or uint8 [batch, heads, length, dim / 2] with two elements a byte
 * @param scales [batch, heads, length, groups]
 */
export function dequantise(quantised: HostTensor, scales: HostTensor): Float64Array {
  const stored = toFloat64(quantised)
  const elements = quantised.dtype === 'uint8' ? unpack(stored) : stored
  const dim = (quantised.shape[3] ?? 0) * (quantised.dtype === 'uint8' ? 2 : 1)
  const groupSize = dim / (scales.shape[3] ?? 1)
  const scale = toFloat64(scales)
  return elements.map((element, index) => element * (scale[Math.floor(index / groupSize)] ?? NaN))
}

/** 4 bits an element, 0…15 for −8…7, the even element in the low bits. */
function unpack(bytes: Float64Array): Float64Array {
  return Float64Array.from({ length: 2 * bytes.length }, (_, index) => {
    const byte = bytes[index >> 1] ?? 0
    return (index % 2 === 0 ? byte % 16 : Math.floor(byte / 16)) - 8
  })
}
