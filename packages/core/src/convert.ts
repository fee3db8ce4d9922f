import { bfloat16ToFloat32, float32ToBfloat16 } from './bfloat16.ts'
import { arrayConstructors, type ArrayOf, type Dtype } from './dtype.ts'
import { float16ToFloat32, float32ToFloat16 } from './float16.ts'
import { contiguousStrides, elementCount } from './strides.ts'
import type { HostTensor } from './tensor.ts'
import { isContiguous } from './views.ts'

/** The elements in row-major order as float32: exact, but for integers beyond 2²⁴. Always a new array. */
export function toFloat32(tensor: HostTensor): Float32Array {
  return gather(tensor, new Float32Array(elementCount(tensor.shape)))
}

/** The elements in row-major order as float64, all exact. Always a new array. */
export function toFloat64(tensor: HostTensor): Float64Array {
  return gather(tensor, new Float64Array(elementCount(tensor.shape)))
}

/**
 * Numbers as a dtype's array, each rounded once, to nearest even: floats by IEEE 754 (halves to their bits), integers
 * into their range (NaN to 0), booleans to 1 unless zero.
 */
export function roundTo<D extends Dtype>(values: ArrayLike<number>, dtype: D): ArrayOf[D] {
  const encode = encoders[dtype]
  const rounded = new arrayConstructors[dtype](values.length)
  for (let i = 0; i < values.length; i++) rounded[i] = encode(values[i] ?? NaN)
  return rounded
}

/** What turns one stored element of a dtype into its number. */
export function decoder(dtype: Dtype): (stored: number) => number {
  switch (dtype) {
    case 'float16':
      return float16ToFloat32
    case 'bfloat16':
      return bfloat16ToFloat32
    case 'bool':
      return asTruth
    default:
      return asStored
  }
}

/** Any byte but 0 is true. */
function asTruth(stored: number): number {
  return stored === 0 ? 0 : 1
}

/** What turns a number into one stored element of a dtype; see {@link roundTo}. */
export function encoder(dtype: Dtype): (value: number) => number {
  return encoders[dtype]
}

function asStored(stored: number): number {
  return stored
}

const encoders: Readonly<Record<Dtype, (value: number) => number>> = {
  float32: Math.fround,
  float16: float32ToFloat16,
  bfloat16: float32ToBfloat16,
  int8: /* @__PURE__ */ integer(-128, 127),
  uint8: /* @__PURE__ */ integer(0, 255),
  int32: /* @__PURE__ */ integer(-(2 ** 31), 2 ** 31 - 1),
  bool: (value) => (value === 0 ? 0 : 1),
}

function integer(lowest: number, highest: number): (value: number) => number {
  return (value) => {
    const clamped = Math.max(lowest, Math.min(highest, value))
    const nearest = Math.round(clamped)
    // Math.round takes ties upward; an odd result of a tie belongs one lower.
    const even = nearest - clamped === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest
    return Number.isNaN(value) ? 0 : even
  }
}

function gather<A extends Float32Array | Float64Array>(tensor: HostTensor, target: A): A {
  const { shape, strides, offset, storage, dtype } = tensor
  const decode = decoder(dtype)
  const contiguous = isContiguous(tensor)
  if (contiguous && decode === asStored) {
    target.set(storage.subarray(offset, offset + target.length))
    return target
  }
  // Walk as rows of the last axis; a contiguous tensor of any rank is one row.
  const rowShape = contiguous ? [] : shape.slice(0, -1)
  const rowStep = contiguous ? 1 : (strides.at(-1) ?? 0)
  const rowLength = contiguous ? target.length : (shape.at(-1) ?? 1)
  const rows = contiguousStrides(rowShape)
  for (let row = 0, written = 0; written < target.length; row++) {
    let element = offset
    rowShape.forEach((size, axis) => (element += (Math.floor(row / (rows[axis] ?? 1)) % size) * (strides[axis] ?? 0)))
    for (let i = 0; i < rowLength; i++, element += rowStep) target[written++] = decode(storage[element] ?? NaN)
  }
  return target
}
