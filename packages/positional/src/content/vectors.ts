import { elementCount, tensor, toFloat64, type HostTensor } from '@qkv/core'
import type { ContentInputs } from '../encoding.ts'

/** A query's or key's vectors as numbers, [batch, heads, length, dim]. */
export interface Vectors {
  readonly shape: readonly number[]
  readonly values: Float64Array
  readonly batch: number
  readonly heads: number
  readonly length: number
  readonly dim: number
  /** The vector of a token, which may be written to. */
  at(batch: number, head: number, token: number): Float64Array
}

export function vectors(shape: readonly number[], values: Float64Array = new Float64Array(elementCount(shape))): Vectors {
  const [batch = 0, heads = 0, length = 0, dim = 0] = shape
  const at = (b: number, h: number, i: number): Float64Array => {
    const start = ((b * heads + h) * length + i) * dim
    return values.subarray(start, start + dim)
  }
  return { shape, values, batch, heads, length, dim, at }
}

export function readVectors(view: HostTensor): Vectors {
  return vectors(view.shape, toFloat64(view))
}

export function float32Tensor(values: Float64Array, shape: readonly number[]): HostTensor {
  return tensor(Float32Array.from(values), shape)
}

/** Where the first query of a batch entry stands. */
export function startOf({ query, key, starts }: ContentInputs, batch: number): number {
  return starts?.[batch] ?? (key.shape[2] ?? 0) - (query.shape[2] ?? 0)
}

/** Visits every query of every head of every batch entry. */
export function forEachToken({ batch, heads, length }: Vectors, visit: (b: number, h: number, i: number) => void): void {
  for (let b = 0; b < batch; b++) for (let h = 0; h < heads; h++) for (let i = 0; i < length; i++) visit(b, h, i)
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** target += factor · source */
export function addScaled(target: Float64Array, factor: number, source: Float64Array): void {
  for (let i = 0; i < target.length; i++) target[i]! += factor * source[i]!
}

/** Row `index` of a matrix with `columns` columns. */
export function rowOf(matrix: Float64Array, index: number, columns: number): Float64Array {
  return matrix.subarray(index * columns, (index + 1) * columns)
}
