import { tensor, toFloat32, type HostTensor } from '@qkv/core'

/**
 * What quantised vectors stand for.
 *
 * @param values int8 [..., dim], or uint8 [..., dim/2] with two 4-bit elements a byte, the even one in the low bits, offset by 8
 * @param scales float32 [..., groups]
 * @returns float32 [..., dim]
 */
export function dequantize(values: HostTensor, scales: HostTensor): HostTensor {
  const stored = toFloat32(values)
  const codes = values.dtype === 'uint8' ? unpacked(stored) : stored
  const factors = toFloat32(scales)
  const groupSize = codes.length / Math.max(1, factors.length)
  const vectors = codes.map((code, index) => code * (factors[Math.floor(index / groupSize)] ?? NaN))
  const dim = (values.shape.at(-1) ?? 0) * (values.dtype === 'uint8' ? 2 : 1)
  return tensor(vectors, [...values.shape.slice(0, -1), dim])
}

function unpacked(bytes: Float32Array): Float32Array {
  return Float32Array.from({ length: 2 * bytes.length }, (_, index) => {
    const byte = bytes[index >> 1] ?? 0
    return (index % 2 === 0 ? byte & 15 : byte >> 4) - 8
  })
}
