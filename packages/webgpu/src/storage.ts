import { bytesPerElement, contiguousStrides, type DeviceStorage, type Dtype, type OwnedTensor, type Tensor } from '@qkv/core'
import { refusal } from './errors.ts'

/** A tensor's memory on the GPU: a buffer of the pool's or one that someone lent us. */
export interface GpuStorage extends DeviceStorage {
  readonly buffer: GPUBuffer
  /** Set once its owner has given it back. */
  disposed: boolean
}

/** @param owner the mark of the backend it belongs to */
export function storageOf(owner: symbol, buffer: GPUBuffer, byteLength: number): GpuStorage {
  return { owner, byteLength, buffer, disposed: false }
}

/** @throws QkvError when `tensor` lives elsewhere or was disposed. */
export function gpuStorage(owner: symbol, operation: string, argument: string, tensor: Tensor): GpuStorage {
  const { storage } = tensor
  if (!isOwnStorage(owner, storage)) {
    const expected = 'a tensor of this backend or over a typed array'
    throw refusal({ operation }, 'OPTION_INVALID', argument, expected, "another backend's tensor")
  }
  if (storage.disposed) throw refusal({ operation }, 'DISPOSED', argument, 'alive', 'a disposed tensor')
  return storage
}

function isOwnStorage(owner: symbol, storage: Tensor['storage']): storage is GpuStorage {
  return !ArrayBuffer.isView(storage) && storage.owner === owner
}

/** Bytes of a buffer that holds `count` elements: whole words, and never none, since bindings may not be empty. */
export function bufferBytes(count: number, dtype: Dtype): number {
  return Math.max(16, Math.ceil((count * bytesPerElement[dtype]) / 4) * 4)
}

export function ownedTensor(
  storage: GpuStorage,
  shape: readonly number[],
  dtype: Dtype,
  release: () => void,
  strides: readonly number[] = contiguousStrides(shape),
  offset = 0,
): OwnedTensor {
  const dispose = (): void => {
    if (storage.disposed) return
    storage.disposed = true
    release()
  }
  return { dtype, shape: [...shape], strides, offset, storage, dispose, [Symbol.dispose]: dispose }
}
