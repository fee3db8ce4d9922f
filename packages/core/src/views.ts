import { refusal } from './refusal.ts'
import { contiguousStrides, elementCount } from './strides.ts'
import type { Storage, Tensor } from './tensor.ts'

/** The same elements with the axes in another order: `permute(t, [0, 2, 1, 3])` swaps lengths and heads. No copy. */
export function permute<S extends Storage>(view: Tensor<S>, axes: readonly number[]): Tensor<S> {
  if (axes.length !== view.shape.length || !view.shape.every((_, axis) => axes.includes(axis))) {
    throw refusal('SHAPE_MISMATCH', 'permute', 'axes', `each of 0…${view.shape.length - 1} once`, `[${axes.join(',')}]`)
  }
  return relaid(
    view,
    axes.map((axis) => at(view.shape, axis)),
    axes.map((axis) => at(view.strides, axis)),
    view.offset,
  )
}

/** Elements `start ≤ index < end` along one axis. No copy. */
export function slice<S extends Storage>(view: Tensor<S>, axis: number, start: number, end: number): Tensor<S> {
  const size = view.shape[axis]
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end)
  if (size === undefined || !whole || start < 0 || end < start || end > size) {
    throw refusal(
      'SHAPE_MISMATCH',
      'slice',
      'range',
      `0 ≤ start ≤ end ≤ the size of axis ${axis} of [${view.shape.join(',')}]`,
      `${start} to ${end}`,
    )
  }
  const offset = end > start ? view.offset + start * at(view.strides, axis) : view.offset
  return relaid(view, view.shape.with(axis, end - start), view.strides, offset)
}

/** The same elements, contiguous in memory, under another shape of the same count. No copy. */
export function reshape<S extends Storage>(view: Tensor<S>, shape: readonly number[]): Tensor<S> {
  if (!isContiguous(view) || elementCount(shape) !== elementCount(view.shape)) {
    throw refusal(
      'SHAPE_MISMATCH',
      'reshape',
      'tensor',
      `contiguous, with ${elementCount(shape)} elements for [${shape.join(',')}]`,
      `shape [${view.shape.join(',')}], strides [${view.strides.join(',')}]`,
    )
  }
  return relaid(view, [...shape], contiguousStrides(shape), view.offset)
}

/** Repeats along missing and size-1 axes (aligned at the last axis, as in NumPy) by strides of 0. No copy. */
export function broadcastTo<S extends Storage>(view: Tensor<S>, shape: readonly number[]): Tensor<S> {
  const missing = shape.length - view.shape.length
  const strides = new Array<number>(shape.length).fill(0)
  let fits = missing >= 0
  for (let axis = 0; axis < view.shape.length; axis++) {
    const size = view.shape[axis]
    const wanted = shape[axis + missing]
    fits &&= size === wanted || size === 1
    if (size === wanted) strides[axis + missing] = at(view.strides, axis)
  }
  if (!fits) {
    throw refusal(
      'SHAPE_MISMATCH',
      'broadcastTo',
      'tensor',
      `a shape that broadcasts to [${shape.join(',')}]`,
      `[${view.shape.join(',')}]`,
    )
  }
  return relaid(view, [...shape], strides, view.offset)
}

/** `[batch, length, heads·dim]` seen as `[batch, heads, length, dim]`. No copy. */
export function splitHeads<S extends Storage>(view: Tensor<S>, heads: number): Tensor<S> {
  const [batch = 0, length = 0, width = 0] = view.shape
  const [batchStride = 0, lengthStride = 0, widthStride = 0] = view.strides
  if (view.shape.length !== 3 || !Number.isInteger(heads) || heads < 1 || width % heads !== 0) {
    throw refusal(
      'SHAPE_MISMATCH',
      'splitHeads',
      'tensor',
      `[batch, length, heads·dim] with a last axis divisible by ${heads}`,
      `[${view.shape.join(',')}]`,
    )
  }
  const dim = width / heads
  return relaid(view, [batch, heads, length, dim], [batchStride, dim * widthStride, lengthStride, widthStride], view.offset)
}

/** `[batch, heads, length, dim]` that lies in memory as `[batch, length, heads, dim]`, as `[batch, length, heads·dim]`. No copy. */
export function mergeHeads<S extends Storage>(view: Tensor<S>): Tensor<S> {
  const byLength = permute(view, [0, 2, 1, 3])
  const [batch, length, heads, dim] = byLength.shape as [number, number, number, number]
  return reshape(byLength, [batch, length, heads * dim])
}

export function isContiguous({ shape, strides }: Tensor): boolean {
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1
    if (size > 1 && strides[axis] !== stride) return false
    stride *= size
  }
  return true
}

function relaid<S extends Storage>(
  view: Tensor<S>,
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
): Tensor<S> {
  return { dtype: view.dtype, shape, strides, offset, storage: view.storage }
}

function at(list: readonly number[], index: number): number {
  const value = list[index]
  if (value === undefined) throw new RangeError(`axis ${index} of ${list.length}`)
  return value
}
