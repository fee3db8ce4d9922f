import { decoder } from '../../convert.ts'
import { isFloat, type TypedArray } from '../../dtype.ts'
import { contiguousStrides, elementCount } from '../../strides.ts'
import type { HostTensor } from '../../tensor.ts'
import { highestInt, lowestInt } from '../arithmetic.ts'

/** The least and greatest element of any box of a tensor. NaN elements make it −∞…∞: nothing is known. */
export interface CapturedRange {
  low: number
  high: number
  /** Sets `low` and `high` for elements `first[axis] ≤ index ≤ last[axis]`, which must lie in the tensor. Uses up both arrays. */
  find(first: number[], last: number[]): void
  /** The tensor's elements may have changed. */
  forget(): void
}

/**
 * A pyramid: each level holds the extremes of wider blocks of the level below, along the axes that `narrowed` marks. A
 * box costs time in its surface, not in its contents, and next to nothing where it is aligned as tiles are. The first
 * blocks are 16 wide, so that a pyramid is small beside its tensor; each next is twice as wide.
 */
export function capturedRange(tensor: HostTensor, narrowed: readonly boolean[]): CapturedRange {
  let levels: readonly Level[] | undefined
  const range: CapturedRange = {
    low: 0,
    high: 0,
    find(first, last) {
      levels ??= makeLevels(tensor, narrowed)
      range.low = Infinity
      range.high = -Infinity
      for (let level = 0; level < levels.length - 1; level++) {
        const { shift } = levels[level + 1]!
        if (!peel(levels[level]!, narrowed, shift, range, first, last)) return
        for (let axis = 0; axis < first.length; axis++) {
          if (!narrowed[axis]) continue
          first[axis] = first[axis]! >> shift
          last[axis] = last[axis]! >> shift
        }
      }
      const top = levels.at(-1)!
      scan(top, range, first, last, 0, top.offset)
    },
    forget() {
      levels = undefined
    },
  }
  return range
}

interface Level {
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly offset: number
  readonly low: TypedArray
  readonly high: TypedArray
  readonly decode: (stored: number) => number
  /** Its blocks are 2^shift wide in the level below. */
  readonly shift: number
}

/** Looks at what whole blocks of the next level leave out, and leaves the rest to it; false when nothing is left. */
function peel(
  level: Level,
  narrowed: readonly boolean[],
  shift: number,
  range: CapturedRange,
  first: number[],
  last: number[],
): boolean {
  for (let axis = 0; axis < first.length; axis++) {
    if (!narrowed[axis]) continue
    const from = first[axis]!
    const to = last[axis]!
    const block = 1 << shift
    const inner = Math.ceil(from / block) * block
    // The axis' last block is whole, however short.
    const end = to === level.shape[axis]! - 1 ? to + 1 : (to + 1) & -block
    if (inner >= end) {
      scan(level, range, first, last, 0, level.offset)
      return false
    }
    if (from < inner) {
      last[axis] = inner - 1
      scan(level, range, first, last, 0, level.offset)
    }
    if (end <= to) {
      first[axis] = end
      last[axis] = to
      scan(level, range, first, last, 0, level.offset)
    }
    first[axis] = inner
    last[axis] = end - 1
  }
  return true
}

function scan(
  level: Level,
  range: CapturedRange,
  first: readonly number[],
  last: readonly number[],
  axis: number,
  at: number,
): void {
  const stride = level.strides[axis] ?? 0
  const innermost = axis + 1 >= first.length
  for (let index = first[axis] ?? 0; index <= (last[axis] ?? 0); index++) {
    const element = at + index * stride
    if (innermost) include(range, level.decode(level.low[element]!), level.decode(level.high[element]!))
    else scan(level, range, first, last, axis + 1, element)
  }
}

function include(range: CapturedRange, low: number, high: number): void {
  if (low !== low) low = -Infinity
  if (high !== high) high = Infinity
  if (low < range.low) range.low = low
  if (high > range.high) range.high = high
}

function makeLevels(tensor: HostTensor, narrowed: readonly boolean[]): readonly Level[] {
  const levels: Level[] = [{ ...tensor, low: tensor.storage, high: tensor.storage, decode: decoder(tensor.dtype), shift: 0 }]
  const make = isFloat(tensor.dtype) ? Float32Array : Int32Array
  const [highest, lowest] = make === Float32Array ? [Infinity, -Infinity] : [highestInt, lowestInt]
  for (let below = levels[0]!; below.shape.some((size, axis) => narrowed[axis] && size > 1); below = levels.at(-1)!) {
    const shift = levels.length === 1 ? 4 : 1
    const shape = below.shape.map((size, axis) => (narrowed[axis] ? Math.ceil(size / (1 << shift)) : size))
    const count = elementCount(shape)
    const level: Level = {
      shape,
      strides: contiguousStrides(shape),
      offset: 0,
      low: new make(count).fill(highest),
      high: new make(count).fill(lowest),
      decode: (stored) => stored,
      shift,
    }
    narrow(below, level, narrowed, 0, below.offset, 0)
    levels.push(level)
  }
  return levels
}

function narrow(below: Level, above: Level, narrowed: readonly boolean[], axis: number, from: number, to: number): void {
  const shift = narrowed[axis] ? above.shift : 0
  const size = below.shape[axis]!
  const stride = below.strides[axis]!
  const step = above.strides[axis]!
  if (axis < above.shape.length - 1) {
    for (let index = 0; index < size; index++)
      narrow(below, above, narrowed, axis + 1, from + index * stride, to + (index >> shift) * step)
  } else if (below.low instanceof Uint8Array && above.low instanceof Int32Array && above.high instanceof Int32Array) {
    narrowBytes(below.low, stride, size, above.low, above.high, shift, from, to)
  } else {
    narrowNumbers(below, stride, size, above, shift, from, to)
  }
}

/** One row. Masks are large: this is the one loop over their elements. */
function narrowBytes(
  bytes: Uint8Array,
  stride: number,
  size: number,
  low: Int32Array,
  high: Int32Array,
  shift: number,
  from: number,
  to: number,
): void {
  for (let index = 0, source = from, target = to; index < size; target++) {
    let least = low[target]!
    let greatest = high[target]!
    const end = Math.min(size, index + (1 << shift))
    for (; index < end; index++, source += stride) {
      const byte = bytes[source]!
      if (byte < least) least = byte
      if (byte > greatest) greatest = byte
    }
    low[target] = least
    high[target] = greatest
  }
}

/** One row of anything. */
function narrowNumbers(below: Level, stride: number, size: number, above: Level, shift: number, from: number, to: number): void {
  const { low, high, decode } = below
  for (let index = 0, source = from, target = to; index < size; target++) {
    let least = above.low[target]!
    let greatest = above.high[target]!
    const end = Math.min(size, index + (1 << shift))
    for (; index < end; index++, source += stride) {
      const lower = decode(low[source]!)
      const upper = decode(high[source]!)
      // NaN is neither less nor greater: it has to be looked for.
      if (!(lower >= least)) least = lower === lower ? lower : -Infinity
      if (!(upper <= greatest)) greatest = upper === upper ? upper : Infinity
    }
    above.low[target] = least
    above.high[target] = greatest
  }
}
