import { elementCount, isContiguous, isHostTensor, type Backend, type Tensor, type TypedArray } from '@qkv/core'
import { bringHome } from '../positions.ts'
import { invalid } from '../refuse.ts'

/** A tensor's elements: part of its own array in host memory, else read from the backend it lives on. */
export async function elementsAtHome(operation: string, view: Tensor, backend: Backend | undefined): Promise<TypedArray> {
  if (!isHostTensor(view)) {
    if (backend !== undefined) return (await bringHome(backend, view)).storage
    throw invalid(operation, 'backend', 'the backend that the tensor lives on', 'nothing')
  }
  if (!isContiguous(view)) throw invalid(operation, 'tensor', 'contiguous', `strides [${view.strides.join(',')}]`)
  return view.storage.subarray(view.offset, view.offset + elementCount(view.shape))
}

export function isGpuBuffer(value: unknown): value is GPUBuffer {
  return typeof value === 'object' && value !== null && 'mapAsync' in value
}
