import { isHostTensor, tensor, toFloat64, type HostTensor, type Tensor } from '@qkv/core'
import { compileExpression } from '@qkv/core/expression'
import type { PositionScore, Positions, RotaryEncoding } from '@qkv/positional'

/** What a score encoding adds to a score of 0, for each query and key of a head. */
export function addedScores({ scoreMod }: PositionScore, head: number, length: number): number[][] {
  const change = compileExpression(scoreMod.node)
  return range(length).map((query) => range(length).map((key) => change(0, head, query, key, query, 0)))
}

/** The same for keys at each distance before a far query. */
export function addedByDistance(
  { scoreMod }: PositionScore,
  head: number,
  distances: readonly number[],
  query = Math.max(...distances),
): [number, number][] {
  const change = compileExpression(scoreMod.node)
  return distances.map((distance) => [distance, change(0, head, query, query - distance, query, 0)])
}

export function numbersOf(view: Tensor): number[] {
  if (!isHostTensor(view)) throw new Error('a table lies in host memory')
  return [...toFloat64(view)]
}

/** q·k of two vectors of ones that stand at two places, as a share of their length. */
export function scoreBetween(encoding: RotaryEncoding, query: readonly number[], key: readonly number[]): number {
  const at = (place: readonly number[]): Positions =>
    place.length === 1 ? place : tensor(Float32Array.from(place), [place.length, 1, 1])
  const [a, b] = [encoding.table(at(query), 'query'), encoding.table(at(key), 'key')]
  const [c, s, d, t] = [a.cos, a.sin, b.cos, b.sin].map(numbersOf) as [number[], number[], number[], number[]]
  return c.reduce((sum, cosine, pair) => sum + cosine * d[pair]! + s[pair]! * t[pair]!, 0) / c.length
}

/** Numbers that look random and are always the same. */
export function wobble(count: number, seed = 1): number[] {
  return range(count).map((i) => {
    const x = Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453
    return 2 * (x - Math.floor(x)) - 1
  })
}

export function made(shape: readonly number[], seed = 1, size = 1): HostTensor {
  const count = shape.reduce((product, length) => product * length, 1)
  return tensor(
    wobble(count, seed).map((value) => size * value),
    shape,
  )
}

export function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i)
}
