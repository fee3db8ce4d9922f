import { elementCount, isHostTensor, isTensor, toFloat64 } from '@qkv/core'
import type { PositionRange, Positions } from './encoding.ts'
import { checkCount, misshapen, refused } from './refuse.ts'

/** Beyond it, float32 no longer tells neighbouring whole numbers apart. */
const largestPosition = 2 ** 24

/** Positions as numbers, checked. */
export interface TokenPositions {
  /** [length], or [batch, length]. */
  readonly shape: readonly number[]
  /** One row per axis of the position (all the same where one was given), each with an element per token. */
  readonly axes: readonly Float64Array[]
}

/**
 * @param axes how many numbers the encoding takes for a position
 * @throws QkvError naming what is wrong: a shape, or a position that is not a number or beyond ±`largest`.
 */
export function tokenPositions(
  operation: string,
  positions: Positions,
  axes: number,
  largest: number = largestPosition,
): TokenPositions {
  const { shape, values } = read(operation, positions, axes)
  const wrong = values.findIndex((position) => !(Math.abs(position) <= largest))
  if (wrong >= 0) {
    throw refused(operation, `positions[${wrong}]`, `a number from −${largest} to ${largest}`, values[wrong])
  }
  if (shape.length < 3) return { shape, axes: new Array<Float64Array>(axes).fill(values) }
  const tokenShape = shape.slice(1)
  const tokens = elementCount(tokenShape)
  const rows = Array.from({ length: axes }, (_, axis) => values.subarray(axis * tokens, (axis + 1) * tokens))
  return { shape: tokenShape, axes: rows }
}

/** One more than the largest position: how long a sequence with these positions is at least. */
export function sequenceLength({ axes }: TokenPositions): number {
  return 1 + axes.reduce((largest, row) => row.reduce((a, b) => Math.max(a, b), largest), -1)
}

function read(operation: string, positions: Positions, axes: number): { shape: readonly number[]; values: Float64Array } {
  if (isTensor(positions)) {
    const { shape } = positions
    if (!isHostTensor(positions)) throw refused(operation, 'positions', 'in host memory', 'a tensor in a backend’s memory')
    if (shape.length < 1 || shape.length > 3 || (shape.length === 3 && shape[0] !== axes)) {
      throw misshapen(operation, 'positions', `[length], [batch, length] or [${axes}, batch, length]`, shape)
    }
    return { shape, values: toFloat64(positions) }
  }
  const values = Array.isArray(positions) ? Float64Array.from(positions) : fromRange(operation, positions)
  return { shape: [values.length], values }
}

export function isRange(positions: Positions): positions is PositionRange {
  return typeof positions === 'object' && positions !== null && 'start' in positions
}

function fromRange(operation: string, positions: Positions): Float64Array {
  if (!isRange(positions) || !Number.isFinite(positions.start))
    throw refused(operation, 'positions', 'a range { start, length }, an array or a tensor', positions)
  const { start } = positions
  const length = checkCount(operation, 'positions.length', positions.length, 0)
  const values = new Float64Array(length)
  for (let i = 0; i < length; i++) values[i] = start + i
  return values
}
