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
}

/**
 * A pyramid: each level holds the extremes of blocks twice as wide as the level below, along the axes that `halved`
 * marks. A box costs time in its surface, not in its contents, and next to nothing where it is aligned as tiles are.
 */
export function capturedRange(tensor: HostTensor, halved: readonly boolean[]): CapturedRange {
  let levels: readonly Level[] | undefined
  const range: CapturedRange = {
    low: 0,
    high: 0,
    find(first, last) {
      levels ??= makeLevels(tensor, halved)
      range.low = Infinity
      range.high = -Infinity
      let level = 0
      while (level < levels.length - 1 && peel(levels[level]!, halved, range, first, last)) {
        level++
        for (let axis = 0; axis < first.length; axis++) {
          if (!halved[axis]) continue
          first[axis] = first[axis]! >> 1
          last[axis] = last[axis]! >> 1
        }
      }
      scan(levels[level]!, range, first, last, 0, levels[level]!.offset)
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
}

/** Looks at what the next level's blocks would not cover whole; false when nothing is left. */
function peel(level: Level, halved: readonly boolean[], range: CapturedRange, first: number[], last: number[]): boolean {
  for (let axis = 0; axis < first.length; axis++) {
    if (!halved[axis]) continue
    const from = first[axis]!
    const to = last[axis]!
    if (from % 2 === 1) {
      last[axis] = from
      scan(level, range, first, last, 0, level.offset)
      last[axis] = to
      first[axis] = from + 1
    }
    if (to % 2 === 0 && to !== level.shape[axis]! - 1 && first[axis]! <= to) {
      const rest = first[axis]!
      first[axis] = to
      scan(level, range, first, last, 0, level.offset)
      first[axis] = rest
      last[axis] = to - 1
    }
    if (first[axis]! > last[axis]!) return false
  }
  return true
}

function scan(level: Level, range: CapturedRange, first: readonly number[], last: readonly number[], axis: number, at: number): void {
  const stride = level.strides[axis] ?? 0
  const inner = axis + 1 >= first.length
  for (let index = first[axis] ?? 0; index <= (last[axis] ?? 0); index++) {
    const element = at + index * stride
    if (inner) include(range, level.decode(level.low[element]!), level.decode(level.high[element]!))
    else scan(level, range, first, last, axis + 1, element)
  }
}

function include(range: CapturedRange, low: number, high: number): void {
  if (low !== low) low = -Infinity
  if (high !== high) high = Infinity
  if (low < range.low) range.low = low
  if (high > range.high) range.high = high
}

function makeLevels(tensor: HostTensor, halved: readonly boolean[]): readonly Level[] {
  const levels: Level[] = [{ ...tensor, low: tensor.storage, high: tensor.storage, decode: decoder(tensor.dtype) }]
  const make = isFloat(tensor.dtype) ? Float32Array : tensor.dtype === 'bool' ? Uint8Array : Int32Array
  for (let below = levels[0]!; below.shape.some((size, axis) => halved[axis] && size > 1); below = levels.at(-1)!) {
    const shape = below.shape.map((size, axis) => (halved[axis] ? Math.ceil(size / 2) : size))
    const count = elementCount(shape)
    const low = make === Float32Array ? new make(count).fill(Infinity) : new make(count).fill(highestInt)
    const high = make === Float32Array ? new make(count).fill(-Infinity) : new make(count).fill(lowestInt)
    const level: Level = { shape, strides: contiguousStrides(shape), offset: 0, low, high, decode: asStored }
    halve(below, level, halved, 0, below.offset, 0)
    levels.push(level)
  }
  return levels
}

function halve(below: Level, above: Level, halved: readonly boolean[], axis: number, from: number, to: number): void {
  const shift = halved[axis] ? 1 : 0
  const { low, high } = above
  const inner = axis === above.shape.length - 1
  for (let index = 0; index < below.shape[axis]!; index++) {
    const source = from + index * below.strides[axis]!
    const target = to + (index >> shift) * above.strides[axis]!
    if (inner) {
      const least = below.decode(below.low[source]!)
      const greatest = below.decode(below.high[source]!)
      // NaN is neither less nor greater: it has to be looked for.
      if (!(least >= low[target]!)) low[target] = least === least ? least : -Infinity
      if (!(greatest <= high[target]!)) high[target] = greatest === greatest ? greatest : Infinity
    } else {
      halve(below, above, halved, axis + 1, source, target)
    }
  }
}

function asStored(stored: number): number {
  return stored
}
