export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (const size of shape) count *= size
  return count
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
  let first = offset
  let last = offset
  for (let axis = 0; axis < shape.length; axis++) {
    const size = shape[axis] ?? 1
    if (size === 0) return { first: 0, last: -1 }
    const span = (size - 1) * (strides[axis] ?? 0)
    if (span < 0) first += span
    else last += span
  }
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
  const axes = outermostFirst(shape.length - 1, like)
  const strides = new Array<number>(shape.length).fill(1)
  let stride = shape.at(-1) ?? 1
  for (let place = axes.length - 1; place >= 0; place--) {
    const axis = axes[place]!
    strides[axis] = stride
    stride *= shape[axis] ?? 1
  }
  return strides
}

/**
 * The first `count` axes by how far apart their elements lie. Axes of one element, and repeated ones, lie anywhere: they
 * keep their places among the others. Sorted by insertion: there are three or four axes, and results ask at every call.
 */
function outermostFirst(
  count: number,
  { shape, strides }: { readonly shape: readonly number[]; readonly strides: readonly number[] },
): number[] {
  const distance = (axis: number): number => ((shape[axis] ?? 1) > 1 ? Math.abs(strides[axis] ?? 0) : 0)
  const axes = new Array<number>(Math.max(0, count))
  for (let axis = 0; axis < count; axis++) {
    const own = distance(axis)
    let place = axis
    for (let before = axis - 1; before >= 0 && own > 0; before--) {
      const other = axes[before]!
      const others = distance(other)
      if (others === 0) continue
      if (others >= own) break
      axes[place] = other
      place = before
    }
    axes[place] = axis
  }
  return axes
}
