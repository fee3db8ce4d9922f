import type { HostTensor } from '@qkv/core'
import { copyElements } from './copy.ts'
import { forEachRow } from './rows.ts'

/** output [...indices, dim]: rows of `table` [rows, dim]. The indices lie within it. */
export function gather(table: HostTensor, indices: HostTensor, output: HostTensor): void {
  const [rowStride = 0, dimStride = 0] = table.strides
  const dim = output.shape.at(-1)!
  const oneByOne = { ...indices, shape: [...indices.shape, 1], strides: [...indices.strides, 0] }
  forEachRow(output.shape, [oneByOne, output], ([at = 0, end = 0]) => {
    const row = { ...table, shape: [dim], strides: [dimStride], offset: table.offset + indices.storage[at]! * rowStride }
    copyElements(row, { ...output, shape: [dim], strides: [output.strides.at(-1)!], offset: end })
  })
}

/** The first index that is no row of a table with so many. */
export function firstOutside(indices: HostTensor, rows: number): number | undefined {
  let outside: number | undefined
  const oneByOne = { ...indices, shape: [...indices.shape, 1], strides: [...indices.strides, 0] }
  forEachRow(oneByOne.shape, [oneByOne], ([at = 0]) => {
    const index = indices.storage[at]!
    if (index < 0 || index >= rows) outside ??= index
  })
  return outside
}
