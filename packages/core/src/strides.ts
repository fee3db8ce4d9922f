export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1)
}

/** Row-major strides without gaps, in elements. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= shape[axis] ?? 1
  }
  return strides
}

/** The lowest and highest element that a layout touches; `last < first` when it touches none. */
export function reach(shape: readonly number[], strides: readonly number[], offset: number): { first: number; last: number } {
  if (elementCount(shape) === 0) return { first: 0, last: -1 }
  let first = offset
  let last = offset
  shape.forEach((size, axis) => {
    const span = (size - 1) * (strides[axis] ?? 0)
    if (span < 0) first += span
    else last += span
  })
  return { first, last }
}

/**
 * Strides without gaps for `shape`, its leading axes in the order in which those of `like` lie in memory and its last
 * axis innermost: how a result lies that keeps its operand's order of axes.
 */
export function stridesLike(
  shape: readonly number[],
  like: { readonly shape: readonly number[]; readonly strides: readonly number[] },
): number[] {
  const distance = (axis: number): number => ((like.shape[axis] ?? 1) > 1 ? Math.abs(like.strides[axis] ?? 0) : 0)
  const leading = shape.slice(0, -1).map((_, axis) => axis)
  const byDistance = leading.filter((axis) => distance(axis) > 0).sort((a, b) => distance(b) - distance(a) || a - b)
  // Axes of one element, and repeated ones, lie anywhere: they keep their places among the others.
  const order = leading.map((axis) => (distance(axis) > 0 ? (byDistance.shift() ?? axis) : axis))
  const axes = shape.length > 0 ? [...order, shape.length - 1] : []
  const packed = contiguousStrides(axes.map((axis) => shape[axis] ?? 1))
  const strides = new Array<number>(shape.length).fill(0)
  axes.forEach((axis, place) => (strides[axis] = packed[place] ?? 1))
  return strides
}
