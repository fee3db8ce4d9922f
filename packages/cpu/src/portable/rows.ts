import { contiguousStrides, decoder, encoder, type HostTensor } from '@qkv/core'

/**
 * Visits every row (last axis) of a shape, in row-major order, with the element at which each tensor's row starts. The
 * tensors have the shape's leading axes, as views: repeated ones by strides of 0.
 */
export function forEachRow(
  shape: readonly number[],
  tensors: readonly HostTensor[],
  visit: (starts: readonly number[], row: number) => void,
): void {
  const leading = shape.slice(0, -1)
  const rows = leading.reduce((count, size) => count * size, 1)
  const index = leading.map(() => 0)
  const starts = tensors.map(({ offset }) => offset)
  for (let row = 0; row < rows; row++) {
    visit(starts, row)
    for (let axis = leading.length - 1; axis >= 0; axis--) {
      index[axis]! += 1
      const wraps = index[axis] === leading[axis]
      const steps = wraps ? 1 - leading[axis]! : 1
      tensors.forEach(({ strides }, which) => (starts[which]! += steps * strides[axis]!))
      if (!wraps) break
      index[axis] = 0
    }
  }
}

/** Decodes one row of a tensor. */
export function loadRow({ storage, dtype, strides }: HostTensor, start: number, into: Float64Array): void {
  const stride = strides.at(-1) ?? 1
  const decode = decoder(dtype)
  if (dtype === 'float32') for (let i = 0, at = start; i < into.length; i++, at += stride) into[i] = storage[at]!
  else for (let i = 0, at = start; i < into.length; i++, at += stride) into[i] = decode(storage[at]!)
}

/** Rounds one row of numbers into a tensor. */
export function storeRow({ storage, dtype, strides }: HostTensor, start: number, from: Float64Array): void {
  const stride = strides.at(-1) ?? 1
  const encode = encoder(dtype)
  if (dtype === 'float32') for (let i = 0, at = start; i < from.length; i++, at += stride) storage[at] = from[i]!
  else for (let i = 0, at = start; i < from.length; i++, at += stride) storage[at] = encode(from[i]!)
}

/** A tensor of one axis, or none, as numbers. */
export function loadVector(tensor: HostTensor): Float64Array {
  const into = new Float64Array(tensor.shape[0] ?? 1)
  loadRow(tensor, tensor.offset, into)
  return into
}

/** A scalar as a row of one, so that every tensor has rows. */
export function withRows(tensor: HostTensor): HostTensor {
  return tensor.shape.length > 0 ? tensor : { ...tensor, shape: [1], strides: contiguousStrides([1]) }
}
