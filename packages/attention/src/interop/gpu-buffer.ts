import { bytesPerElement, elementCount, isContiguous, type Backend, type Dtype, type Tensor } from '@qkv/core'
import { invalid } from '../refuse.ts'

/** What a backend on WebGPU has besides: `WebGpuBackend` of @qkv/webgpu is one. */
export interface GpuBackend extends Backend {
  readonly device: GPUDevice
  fromBuffer(buffer: GPUBuffer, shape: readonly number[], dtype?: Dtype): Tensor
  /** Where a tensor lies, in bytes; the buffer stays the backend's. */
  toBuffer(tensor: Tensor): { readonly buffer: GPUBuffer; readonly offset: number }
  flush(): Promise<void>
}

export function isGpuBackend(backend: Backend): backend is GpuBackend {
  return 'fromBuffer' in backend && 'device' in backend
}

/** A tensor's elements, row-major from the start of a buffer, for as long as the tensor is not disposed. */
export interface LentBuffer {
  readonly buffer: GPUBuffer
  /** Whether the buffer was made for this, and is not the one that the tensor lies in. */
  readonly copied: boolean
  /** Destroys the buffer where it was made for this. */
  release(): void
}

/**
 * The buffer that a tensor lies in, with no copy, where its elements are row-major from the buffer's start; else a copy, made
 * on the device. Resolves when all work on it has been handed to the device.
 */
export async function lendGpuBuffer(backend: GpuBackend, view: Tensor): Promise<LentBuffer> {
  const { buffer, offset } = backend.toBuffer(view)
  if (offset === 0 && isContiguous(view)) {
    await backend.flush()
    return { buffer, copied: false, release: () => {} }
  }
  const copy = await toGpuBuffer(backend, view)
  return { buffer: copy, copied: true, release: () => copy.destroy() }
}

/**
 * The elements of a tensor in a buffer of one's own, row-major, for whoever else computes on the same device: copied once,
 * on the device. Resolves when the copy has been handed to the device, so that what is submitted after it sees it.
 *
 * With no copy at all: `backend.toBuffer()` of @qkv/webgpu says where a tensor lies, and `backend.encode()` has attention
 * write into a caller's buffer.
 *
 * @param buffer to write to (usage STORAGE and whatever else one needs); a new one, the caller's to destroy, by default
 * @throws QkvError `OPTION_INVALID` where the buffer is too small.
 */
export async function toGpuBuffer(backend: GpuBackend, view: Tensor, buffer?: GPUBuffer): Promise<GPUBuffer> {
  const { shape, dtype } = view
  const bytes = elementCount(shape) * bytesPerElement[dtype]
  if (buffer !== undefined && buffer.size < bytes) {
    throw invalid('toGpuBuffer', 'buffer', `of ${bytes} bytes or more`, `one of ${buffer.size}`)
  }
  const target =
    buffer ??
    backend.device.createBuffer({ size: Math.max(16, Math.ceil(bytes / 4) * 4), usage: storage | copySource | copyDestination })
  backend.copy(view, backend.fromBuffer(target, shape, dtype))
  await backend.flush()
  return target
}

/** GPUBufferUsage, which is a global only where WebGPU is. */
const copySource = 0x4
const copyDestination = 0x8
const storage = 0x80
