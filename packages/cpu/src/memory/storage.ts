import {
  bytesPerElement,
  contiguousStrides,
  elementCount,
  isHostTensor,
  QkvError,
  type DeviceStorage,
  type Dtype,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
} from '@qkv/core'
import type { Arena } from './arena.ts'

/** A tensor's memory in the arena. */
export interface CpuStorage extends DeviceStorage {
  /** Which arena: a backend takes no other's tensors. */
  readonly arena: Arena
  /** Of its first byte. */
  readonly address: number
  /** Set once its owner has given it back. */
  disposed: boolean
}

const owner = Symbol('@qkv/cpu')

/** A new tensor in the arena, holding anything. Strides must leave no gaps. */
export function allocateTensor(
  arena: Arena,
  operation: string,
  shape: readonly number[],
  dtype: Dtype,
  strides: readonly number[] = contiguousStrides(shape),
): OwnedTensor {
  const byteLength = elementCount(shape) * bytesPerElement[dtype]
  const address = arena.allocate(operation, byteLength)
  return new ArenaTensor(dtype, [...shape], strides, { owner, byteLength, arena, address, disposed: false })
}

/** A tensor as it was allocated, its shape and strides its own. */
export class ArenaTensor implements OwnedTensor {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly offset = 0
  readonly storage: CpuStorage
  /** Of its first element: such a tensor says itself what a kernel is told of it. */
  readonly address: number

  constructor(dtype: Dtype, shape: readonly number[], strides: readonly number[], storage: CpuStorage) {
    this.dtype = dtype
    this.shape = shape
    this.strides = strides
    this.storage = storage
    this.address = storage.address
  }

  dispose(): void {
    const { storage } = this
    if (storage.disposed) return
    storage.disposed = true
    storage.arena.free(storage.address, storage.byteLength)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** The storage of a tensor of this arena. @throws QkvError where it lives elsewhere or was disposed. */
export function cpuStorage(arena: Arena, operation: string, argument: string, { storage }: Tensor): CpuStorage {
  if (!isCpuStorage(storage) || storage.arena !== arena) {
    throw new QkvError({
      code: 'OPTION_INVALID',
      operation,
      argument,
      expected: 'a tensor of this backend or over a typed array',
      received: 'another backend’s tensor',
    })
  }
  if (storage.disposed) {
    throw new QkvError({ code: 'DISPOSED', operation, argument, expected: 'a living tensor', received: 'a disposed one' })
  }
  return storage
}

/**
 * The tensor over a typed array: itself, or all of the arena seen as its dtype. Good until the next allocation, which
 * may grow the memory: allocate first, then look.
 */
export function hostView(tensor: Tensor): HostTensor {
  const { storage, dtype } = tensor
  if (isHostTensor(tensor)) return tensor
  if (!isCpuStorage(storage)) throw new TypeError('a tensor of the arena or over a typed array was expected')
  const { shape, strides } = tensor
  const offset = storage.address / bytesPerElement[dtype] + tensor.offset
  return { dtype, shape, strides, offset, storage: storage.arena.view(dtype) }
}

function isCpuStorage(storage: Tensor['storage']): storage is CpuStorage {
  return !ArrayBuffer.isView(storage) && storage.owner === owner
}
