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
export function reach(
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
): { first: number; last: number } {
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
