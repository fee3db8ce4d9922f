import {
  type AttentionProblem,
  type Backend,
  type Dtype,
  type QkvError,
  type Tensor,
  type TensorOptions,
  type TypedArray,
} from '@qkv/core'
import type { PoolStatistics } from './buffer-pool.ts'
import { acquireDevice, type DeviceOptions } from './device.ts'
import { deviceProfile, type DeviceProfile } from './device-profile.ts'
import { loadDeviceKernels } from './operations/attention.ts'
import { attentionOperations, layerOperations } from './operations/public.ts'
import { memoryOperations } from './operations/memory.ts'
import { Session } from './session.ts'

export interface WebGpuOptions extends DeviceOptions {
  /** Overrides what is assumed of the device. */
  readonly profile?: { readonly [K in keyof DeviceProfile]?: DeviceProfile[K] } | undefined
  /** How long `read` waits while the device finishes nothing before it throws `TIMEOUT`; default 60,000 ms. */
  readonly patience?: number | undefined
}

/** Where {@link WebGpuBackend.encode} puts its results: existing tensors of this backend. */
export interface EncodeTarget {
  /** [batch, queryHeads, queryLength, valueDim], any strides, any float dtype. */
  readonly output: Tensor
  /** Contiguous float32 [batch, queryHeads, queryLength]. */
  readonly lse?: Tensor | undefined
}

/** A part of a buffer that bindings and copies take as it is. */
export interface BufferRange {
  readonly buffer: GPUBuffer
  readonly offset: number
  readonly size: number
}

export interface WebGpuBackend extends Backend {
  readonly device: GPUDevice
  readonly profile: DeviceProfile
  /** Buffers that tensors hold, and bytes kept for reuse. */
  readonly memory: PoolStatistics
  /** How many pipelines have been compiled. */
  readonly pipelines: number
  /** A tensor over a buffer (usage STORAGE, and COPY_SRC to be read) that stays its owner's. */
  fromBuffer(buffer: GPUBuffer, shape: readonly number[], dtype?: Dtype, options?: Omit<TensorOptions, 'dtype'>): Tensor
  /**
   * Where a tensor of this backend lies, in bytes. The buffer stays the backend's: it may hold other tensors too, and is used
   * for others once the tensor is disposed. What the tensor holds is there for work that is submitted after {@link flush}.
   */
  toBuffer(tensor: Tensor): BufferRange
  /**
   * Records attention into the caller's encoder, outside any pass, and submits nothing. Dispose the result once the
   * encoder's commands have been submitted: it holds their scratch memory. Compiles on the spot what is not compiled yet.
   */
  encode(encoder: GPUCommandEncoder, problem: AttentionProblem, target: EncodeTarget): Disposable
  /** As any backend's `read`; an abort ends the wait, not the work. */
  read(tensor: Tensor, options?: { readonly signal?: AbortSignal | undefined }): Promise<TypedArray>
  /**
   * Resolves when all issued work has been handed to the device, for those who submit work of their own after it. An abort ends the
   * wait, not the work.
   */
  flush(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /** Calls `listener` once when the device is lost; the result takes it back. A new backend goes on from there. */
  onLost(listener: (error: QkvError) => void): () => void
}

/**
 * A backend on a GPU through WebGPU: on `device`, which stays its owner's, or else on a new device of `adapter`, or of
 * an adapter of `gpu`, or of `navigator.gpu`.
 *
 * @throws QkvError `DEVICE_UNAVAILABLE`
 */
export async function createWebGpuBackend(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
  const { device, owned, information } = await acquireDevice(options)
  const profile = { ...deviceProfile(device, information), ...options.profile }
  const kernels = await loadDeviceKernels(profile, owned ? device : undefined)
  const session = new Session(device, profile, options.patience ?? 60_000)
  const { queue } = session
  const dispose = (): void => {
    session.dispose()
    if (owned) device.destroy()
  }
  return {
    name: 'webgpu',
    description: describeDevice(information, profile),
    device,
    profile,
    get memory() {
      return queue.pool.statistics
    },
    get pipelines() {
      return queue.pipelines.size
    },
    ...attentionOperations(session, kernels),
    ...layerOperations(session),
    ...memoryOperations(session),
    onLost: (listener) => queue.onLost(listener),
    dispose,
    [Symbol.dispose]: dispose,
  }
}

function describeDevice(information: globalThis.Partial<GPUAdapterInfo> | undefined, { software }: DeviceProfile): string {
  const parts = [information?.vendor, information?.architecture, information?.description].filter(Boolean)
  return `WebGPU on ${parts.length > 0 ? parts.join(' ') : 'an adapter that does not say what it is'}${software ? ' (software)' : ''}`
}
