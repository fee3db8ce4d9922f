import {
  bytesPerElement,
  elementCount,
  slice,
  type Backend,
  type Dtype,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
} from '@qkv/core'
import { bringHome } from '../positions.ts'
import { checkShape } from '../refuse.ts'
import { allOrNone } from '../temporaries.ts'
import { isQuantized, storedVector, type CacheLayout } from './layout.ts'

/** Keys and values as they are stored, all [blocks, heads, rows, …]; scales where they are quantised. */
export interface StoredKeys<T extends Tensor = Tensor> {
  readonly key: T
  readonly value: T
  readonly keyScales: T | undefined
  readonly valueScales: T | undefined
}

/** Zeroed memory for `blocks` blocks of `rows` tokens. */
export function allocate(backend: Backend, layout: CacheLayout, blocks: number, rows: number): StoredKeys<OwnedTensor> {
  return allOrNone((made) => {
    const vectors = (dim: number): { elements: OwnedTensor; scales: OwnedTensor | undefined } => {
      const { dtype, elements, scales } = storedVector(layout, dim)
      const empty = (size: number, dtype?: Dtype): OwnedTensor =>
        made.keep(backend.empty([blocks, layout.heads, rows, size], dtype))
      return { elements: empty(elements, dtype), scales: isQuantized(layout.dtype) ? empty(scales) : undefined }
    }
    const keys = vectors(layout.headDim)
    const values = vectors(layout.valueDim)
    return { key: keys.elements, value: values.elements, keyScales: keys.scales, valueScales: values.scales }
  })
}

export function release(stored: StoredKeys<OwnedTensor>): void {
  mapStored(stored, (view) => view.dispose())
}

export function byteLength(stored: StoredKeys): number {
  let bytes = 0
  mapStored(stored, ({ shape, dtype }) => (bytes += elementCount(shape) * bytesPerElement[dtype]))
  return bytes
}

/** A view of some rows of some blocks. */
export function part(stored: StoredKeys, rows: readonly [number, number], blocks?: readonly [number, number]): StoredKeys {
  return mapStored(stored, (view) => slice(blocks ? slice(view, 0, blocks[0], blocks[1]) : view, 2, rows[0], rows[1]))
}

/** Copies rows as they are stored. */
export function copyStored(backend: Backend, source: StoredKeys, target: StoredKeys): void {
  for (const name of ['key', 'value', 'keyScales', 'valueScales'] as const) {
    const [from, to] = [source[name], target[name]]
    if (from && to) backend.copy(from, to)
  }
}

/** Writes keys and values, in whatever float dtype they come, as `target` stores them. */
export function store(backend: Backend, key: Tensor, value: Tensor, target: StoredKeys): void {
  const write = (source: Tensor, elements: Tensor, scales: Tensor | undefined): void =>
    scales === undefined ? backend.copy(source, elements) : backend.quantize(source, elements, scales)
  write(key, target.key, target.keyScales)
  write(value, target.value, target.valueScales)
}

/** Everything read home, contiguous. */
export async function readStored(backend: Backend, stored: StoredKeys): Promise<StoredKeys<HostTensor>> {
  const { key, value, keyScales, valueScales } = stored
  return {
    key: await bringHome(backend, key),
    value: await bringHome(backend, value),
    keyScales: keyScales && (await bringHome(backend, keyScales)),
    valueScales: valueScales && (await bringHome(backend, valueScales)),
  }
}

export function mapStored<T extends Tensor, R>(
  { key, value, keyScales, valueScales }: StoredKeys<T>,
  change: (view: T) => R,
): { key: R; value: R; keyScales: R | undefined; valueScales: R | undefined } {
  return {
    key: change(key),
    value: change(value),
    keyScales: keyScales && change(keyScales),
    valueScales: valueScales && change(valueScales),
  }
}

/** @returns how many tokens come, after checking that keys and values fit the layout. */
export function checkAppended(operation: string, layout: CacheLayout, key: Tensor, value: Tensor): number {
  const { batch, heads, headDim, valueDim } = layout
  checkShape(operation, 'key', key.shape, [batch, heads, -1, headDim])
  const count = key.shape[2] ?? 0
  checkShape(operation, 'value', value.shape, [batch, heads, count, valueDim])
  return count
}
