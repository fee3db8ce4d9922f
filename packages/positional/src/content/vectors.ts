import { checkTensor, elementCount, isFloat, tensor, toFloat64, type HostTensor } from '@qkv/core'
import type { ContentInputs } from '../encoding.ts'
import { misshapen, refused } from '../refuse.ts'

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

/**
 * Batch and lengths may be 0.
 *
 * @param heads of the query, where they are given; else any that the key's divide
 * @throws QkvError unless query and key are float tensors that fit each other, with vectors of `headDim` elements.
 */
export function checkInputs(operation: string, { query, key, starts }: ContentInputs, headDim: number, heads?: number): void {
  for (const [argument, view] of Object.entries({ query, key })) {
    checkTensor(operation, argument, view)
    if (!isFloat(view.dtype)) throw refused(operation, argument, 'of a float dtype', view.dtype)
    if (view.shape.length !== 4 || view.shape[3] !== headDim) {
      throw misshapen(operation, argument, `[batch, heads, length, ${headDim}]`, view.shape)
    }
  }
  const [batch = 0, queryHeads = 0] = query.shape
  const [keyBatch = 0, keyHeads = 0] = key.shape
  if (heads !== undefined && queryHeads !== heads) {
    throw misshapen(operation, 'query', `[batch, ${heads}, length, ${headDim}]`, query.shape)
  }
  if (starts !== undefined && !(starts.length === batch && starts.every(Number.isSafeInteger))) {
    throw refused(operation, 'starts', `${batch} whole numbers, one a batch entry`, starts)
  }
  if (keyBatch !== batch || (queryHeads > 0 && queryHeads % keyHeads !== 0)) {
    throw misshapen(operation, 'key', `[${batch}, heads that divide ${queryHeads}, length, ${headDim}]`, key.shape)
  }
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
