import {
  isHostTensor,
  permute,
  roundTo,
  slice,
  tensor,
  toFloat64,
  type AttentionProblem,
  type HostTensor,
  type Tensor,
} from '@qkv/core'
import type { Random } from '../../random.ts'

/** Elements of a host tensor, row-major, exact. */
export function onHost(view: Tensor): Float64Array {
  if (!isHostTensor(view)) throw new Error('a tensor in host memory was expected')
  return toFloat64(view)
}

/** A packed tensor of other elements. */
export function likeTensor({ shape, dtype }: Tensor, elements: ArrayLike<number>): HostTensor {
  return tensor(roundTo(elements, dtype), shape, { dtype })
}

/** Elements of one axis, in the order given, as a packed tensor. */
export function pickAlong(view: Tensor, axis: number, indices: readonly number[]): HostTensor {
  if (!isHostTensor(view)) throw new Error('a tensor in host memory was expected')
  const last = [0, 1, 2, 3].filter((other) => other !== axis)
  const byAxis = permute(view, [axis, ...last])
  const rows = indices.map((index) => toFloat64(slice(byAxis, 0, index, index + 1)))
  const size = rows[0]?.length ?? 0
  const all = new Float64Array(rows.length * size)
  rows.forEach((row, place) => all.set(row, place * size))
  const moved = likeTensor({ ...byAxis, shape: byAxis.shape.with(0, indices.length) }, all)
  return permute(
    moved,
    [0, 1, 2, 3].map((at) => [axis, ...last].indexOf(at)),
  )
}

type KeyParts = Pick<AttentionProblem, 'key' | 'value' | 'keyScales' | 'valueScales'>

/** Keys, values and their scales, each changed alike. */
export function mapKeys(problem: AttentionProblem, change: (view: Tensor) => Tensor): KeyParts {
  const { key, value, keyScales, valueScales } = problem
  return {
    key: change(key),
    value: change(value),
    keyScales: keyScales && change(keyScales),
    valueScales: valueScales && change(valueScales),
  }
}

export function takeKeys(problem: AttentionProblem, count: number): KeyParts {
  return mapKeys(problem, (view) => slice(view, 2, 0, count))
}

export function takeRows({ query }: AttentionProblem, start: number, end: number): Pick<AttentionProblem, 'query'> {
  return { query: slice(query, 2, start, end) }
}

/** Bias and mask of some rows and the first keys. */
export function scoreParts(
  { bias, mask }: AttentionProblem,
  start: number,
  end: number,
  keys: number,
): Pick<AttentionProblem, 'bias' | 'mask'> {
  const part = (view: Tensor | undefined): Tensor | undefined => view && slice(slice(view, 2, start, end), 3, 0, keys)
  return { bias: part(bias), mask: part(mask) }
}

export function shuffled(count: number, stream: Random): number[] {
  const order = Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const other = stream.integer(0, last)
    ;[order[last], order[other]] = [order[other]!, order[last]!]
  }
  return order
}

/** A packed tensor with one element that is not finite. */
export function poisoned(view: Tensor, stream: Random, values: readonly number[] = [NaN, NaN, Infinity, -Infinity]): HostTensor {
  const elements = onHost(view)
  if (elements.length > 0) elements[stream.integer(0, elements.length - 1)] = stream.pick(values)
  return likeTensor(view, elements)
}
