import { tensor, toFloat32, type HostTensor } from '@qkv/core'

/** Whole numbers with the scales that make them the vectors they stand for. */
export interface Quantized {
  /** int8 [..., dim], or uint8 [..., dim/2] with two int4 elements a byte, the even one in the low bits, offset by 8. */
  readonly values: HostTensor
  /** float32 [..., dim / groupSize] */
  readonly scales: HostTensor
}

/**
 * Each group of a vector's elements as multiples of its own scale, the largest magnitude over 127 (int8) or 7 (int4), to
 * the nearest. So an element is off by at most half its scale: 1/254 or 1/14 of the largest of its group.
 *
 * @param vectors [..., dim], dim a multiple of `groupSize`
 */
export function quantize(vectors: HostTensor, dtype: 'int8' | 'int4', groupSize: number): Quantized {
  const values = toFloat32(vectors)
  const levels = dtype === 'int8' ? 127 : 7
  const codes = new Int8Array(values.length)
  const scales = new Float32Array(values.length / groupSize)
  for (let group = 0; group < scales.length; group++) {
    const elements = values.subarray(group * groupSize, (group + 1) * groupSize)
    const scale = Math.fround(elements.reduce((largest, element) => Math.max(largest, Math.abs(element)), 0) / levels)
    scales[group] = scale
    if (scale === 0) continue
    elements.forEach(
      (element, c) => (codes[group * groupSize + c] = Math.max(-levels, Math.min(levels, Math.round(element / scale)))),
    )
  }
  const leading = vectors.shape.slice(0, -1)
  const dim = vectors.shape.at(-1) ?? 0
  return {
    values: dtype === 'int8' ? tensor(codes, vectors.shape) : tensor(packed(codes), [...leading, dim / 2]),
    scales: tensor(scales, [...leading, dim / groupSize]),
  }
}

/** Two elements a byte, the even one in the low bits, each offset by 8. */
function packed(codes: Int8Array): Uint8Array {
  return Uint8Array.from(
    { length: codes.length / 2 },
    (_, byte) => ((codes[2 * byte] ?? 0) + 8) | (((codes[2 * byte + 1] ?? 0) + 8) << 4),
  )
}

/** What quantised vectors stand for: float32 [..., dim]. */
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
