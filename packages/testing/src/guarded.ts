import {
  arrayConstructors,
  bytesPerElement,
  contiguousStrides,
  reach,
  roundTo,
  type Dtype,
  type HostTensor,
  type TypedArray,
} from '@qkv/core'
import type { Random } from './random.ts'

/** How a tensor lies in its storage. All but `plain` lie between guards, with NaN in every gap. */
export type Layout =
  /** Row-major; the storage holds nothing else. */
  | 'plain'
  /** Row-major at an offset. */
  | 'offset'
  /** [batch, length, heads, dim] in memory. */
  | 'heads-last'
  /** Gaps after each vector and each sequence. */
  | 'padded'
  /** The sequence runs backwards. */
  | 'reversed'
  /** [batch, heads, dim, length] in memory. */
  | 'transposed'

export const layouts: readonly Layout[] = ['plain', 'offset', 'heads-last', 'padded', 'reversed', 'transposed']

export interface GuardedTensor {
  readonly tensor: HostTensor
  /** Where any bit of the storage, guards and gaps included, differs from when it was filled; undefined if nowhere. */
  changed(): string | undefined
}

const guardBytes = 256

/** NaN as either half, and twice over as float32. */
const poison = 0x7fff

/** A tensor of `values` (row-major, rounded to the dtype) in poisoned, guarded storage. */
export function guarded(
  values: ArrayLike<number>,
  shape: readonly number[],
  dtype: Dtype,
  layout: Layout,
  random: Random,
): GuardedTensor {
  const strides = stridesOf(layout, shape, random)
  const { first, last } = reach(shape, strides, 0)
  const guard = layout === 'plain' ? 0 : guardBytes / bytesPerElement[dtype] + random.integer(0, 7)
  const offset = guard - first
  const storage = poisoned(offset + last + 1 + guard, dtype)
  const rounded = roundTo(values, dtype)
  forEachElement(shape, strides, offset, (element, index) => (storage[element] = rounded[index] ?? 0))
  const tensor: HostTensor = { dtype, shape: [...shape], strides, offset, storage }
  const before = storage.slice()
  return {
    tensor,
    changed: () => firstDifference(storage, before),
  }
}

/** Storage in which every element reads as NaN, whichever float it is taken for. */
export function poisoned(length: number, dtype: Dtype): TypedArray {
  const storage = new arrayConstructors[dtype](length)
  const words = new Uint16Array(Math.ceil(storage.byteLength / 2)).fill(poison)
  new Uint8Array(storage.buffer).set(new Uint8Array(words.buffer, 0, storage.byteLength))
  return storage
}

/** Visits the elements in row-major order: where each lies, and its number in that order. */
function forEachElement(
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
  visit: (element: number, index: number) => void,
): void {
  let index = 0
  const walk = (axis: number, start: number): void => {
    const size = shape[axis]
    const stride = strides[axis] ?? 0
    if (size === undefined) visit(start, index++)
    else for (let i = 0; i < size; i++) walk(axis + 1, start + i * stride)
  }
  walk(0, offset)
}

function stridesOf(layout: Layout, shape: readonly number[], random: Random): number[] {
  if (shape.length !== 4) return contiguousStrides(shape)
  const [, heads, length, dim] = shape as [number, number, number, number]
  switch (layout) {
    case 'plain':
    case 'offset':
      return contiguousStrides(shape)
    case 'heads-last':
      return [length * heads * dim, dim, heads * dim, 1]
    case 'padded': {
      const row = dim + random.integer(1, 5)
      const head = length * row + random.integer(0, 9)
      return [heads * head + random.integer(0, 9), head, row, 1]
    }
    case 'reversed':
      return [heads * length * dim, length * dim, -dim, 1]
    case 'transposed':
      return [heads * length * dim, length * dim, 1, length]
  }
}

function firstDifference(now: TypedArray, before: TypedArray): string | undefined {
  const bytes = new Uint8Array(now.buffer, now.byteOffset, now.byteLength)
  const bytesBefore = new Uint8Array(before.buffer, before.byteOffset, before.byteLength)
  for (let index = 0; index < bytes.length; index++) {
    const element = Math.floor(index / now.BYTES_PER_ELEMENT)
    if (bytes[index] !== bytesBefore[index]) {
      return `element ${element} of ${now.length}: ${before[element]} became ${now[element]}`
    }
  }
  return undefined
}
