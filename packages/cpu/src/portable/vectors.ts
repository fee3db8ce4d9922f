import { decoder, encoder, type HostTensor } from '@qkv/core'
import type { Rows } from './row-products.ts'

/** Vectors [batch, heads, length, dim] as stored, with the scales of quantised ones. */
export interface Vectors {
  readonly tensor: HostTensor
  readonly dim: number
  /** [batch, heads, length, groups], exactly where the tensor is int8 or uint8. */
  readonly scales: HostTensor | undefined
}

/** Where loaded vectors go: element `c` of vector `i` to `data[start + i·step + c·elementStep]`. */
export interface VectorTile<Data = Float64Array> extends Rows<Data> {
  readonly elementStep: number
}

/** Room for vectors of `length` elements, one after another. */
export function vectorRows(count: number, length: number): VectorTile {
  return { data: new Float64Array(count * length), start: 0, step: length, elementStep: 1 }
}

/** Room for vectors of `length` elements, side by side. */
export function vectorColumns(count: number, length: number): VectorTile {
  return { data: new Float64Array(count * length), start: 0, step: 1, elementStep: count }
}

/** Vectors as rows of float32, and room for those that have to become so: none where all of them already lie so. */
export interface RowSource {
  readonly vectors: Vectors
  readonly room: VectorTile<Float32Array> | undefined
}

export function rowSource(vectors: Vectors, count: number): RowSource {
  const { tensor, dim } = vectors
  const liesAsRows = tensor.storage instanceof Float32Array && tensor.strides[3] === 1
  if (liesAsRows) return { vectors, room: undefined }
  return { vectors, room: { data: new Float32Array(count * dim), start: 0, step: dim, elementStep: 1 } }
}

/** `count` vectors from `first` on: where they lie, or decoded into the room. */
export function takeRows({ vectors, room }: RowSource, batch: number, head: number, first: number, count: number): Rows {
  if (room !== undefined) {
    loadVectors(vectors, batch, head, first, count, room)
    return room
  }
  const { offset, strides, storage } = vectors.tensor
  const start = offset + batch * strides[0]! + head * strides[1]! + first * strides[2]!
  return { data: storage as Float32Array, start, step: strides[2]! }
}

/** Decodes `count` vectors from `first` on into a tile, each element times `factor`; whether all of them were finite. */
export function loadVectors(
  { tensor, dim, scales }: Vectors,
  batch: number,
  head: number,
  first: number,
  count: number,
  { data, start: firstElement, step, elementStep }: VectorTile<Float32Array | Float64Array>,
  factor = 1,
): boolean {
  const { storage, dtype, strides } = tensor
  const lengthStride = strides[2]!
  const dimStride = strides[3]!
  let start = tensor.offset + batch * strides[0]! + head * strides[1]! + first * lengthStride
  const decode = decoder(dtype)
  const plain = dtype === 'float32'
  /** Stays 0 until something that is not finite is added. */
  let finite = 0
  for (let i = 0; i < count; i++, start += lengthStride) {
    let to = firstElement + i * step
    if (scales !== undefined) {
      const scaled = loadQuantised(tensor, start, dim, scales, scaleOffset(scales, batch, head, first + i), data, to, elementStep)
      finite += scaled * 0
      continue
    }
    for (let c = 0, from = start; c < dim; c++, from += dimStride, to += elementStep) {
      const element = plain ? storage[from]! * factor : decode(storage[from]!) * factor
      data[to] = element
      finite += element * 0
    }
  }
  return finite === 0
}

function scaleOffset({ offset, strides }: HostTensor, batch: number, head: number, index: number): number {
  return offset + batch * strides[0]! + head * strides[1]! + index * strides[2]!
}

/** One vector of int8, or of 4 bits two a byte (uint8); the sum of its scales. */
function loadQuantised(
  { storage, dtype, strides }: HostTensor,
  start: number,
  dim: number,
  scales: HostTensor,
  scalesStart: number,
  into: Float32Array | Float64Array,
  to: number,
  elementStep: number,
): number {
  const stride = strides[3]!
  const groups = scales.shape[3]!
  const size = dim / groups
  let sum = 0
  for (let group = 0; group < groups; group++) {
    const scale = scales.storage[scalesStart + group * scales.strides[3]!]!
    sum += scale
    for (let c = group * size; c < (group + 1) * size; c++, to += elementStep) {
      const whole = dtype === 'int8' ? storage[start + c * stride]! : nibble(storage[start + (c >> 1) * stride]!, c)
      into[to] = whole * scale
    }
  }
  return sum
}

/** Element `c` of two a byte, the even one in the low bits. */
function nibble(byte: number, c: number): number {
  return ((byte >> (4 * (c & 1))) & 15) - 8
}

/** Element `index` of a tensor with one axis. */
export function elementOf({ storage, dtype, strides, offset }: HostTensor, index: number): number {
  return decoder(dtype)(storage[offset + index * strides[0]!]!)
}

/** Writes row `index` of a [batch, heads, length, dim] tensor from `from[start …]`, each element times `factor`. */
export function storeVector(
  { storage, dtype, strides, offset }: HostTensor,
  batch: number,
  head: number,
  index: number,
  from: Float64Array,
  start: number,
  dim: number,
  factor: number,
): void {
  const encode = encoder(dtype)
  const stride = strides[3]!
  let to = offset + batch * strides[0]! + head * strides[1]! + index * strides[2]!
  for (let c = 0; c < dim; c++, to += stride) storage[to] = encode(from[start + c]! * factor)
}
