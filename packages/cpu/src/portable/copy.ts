import { arrayConstructors, contiguousStrides, elementCount, isContiguous, zeros, type HostTensor } from '@qkv/core'
import { forEachRow, loadRow, storeRow, withRows } from './rows.ts'

/** Writes the elements of `source` over those of `target`, converting dtypes. They may lie in one piece of memory, but apart. */
export function copyElements(source: HostTensor, target: HostTensor): void {
  const [from, to] = [withRows(source), withRows(target)]
  const dim = to.shape.at(-1)!
  if (source.dtype === target.dtype && from.strides.at(-1) === 1 && to.strides.at(-1) === 1) {
    forEachRow(to.shape, [from, to], ([start = 0, end = 0]) => {
      to.storage.set(from.storage.subarray(start, start + dim), end)
    })
    return
  }
  const row = new Float64Array(dim)
  forEachRow(to.shape, [from, to], ([start = 0, end = 0]) => {
    loadRow(from, start, row)
    storeRow(to, end, row)
  })
}

/** A row-major copy outside the arena. */
export function packed(source: HostTensor): HostTensor {
  const { dtype, shape, offset, storage } = source
  if (isContiguous(source)) {
    const elements = new arrayConstructors[dtype](storage.subarray(offset, offset + elementCount(shape)))
    return { dtype, shape, strides: contiguousStrides(shape), offset: 0, storage: elements }
  }
  const copy = zeros(shape, dtype)
  copyElements(source, copy)
  return copy
}
