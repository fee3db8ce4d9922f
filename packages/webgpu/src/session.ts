import { contiguousStrides, elementCount, type Dtype, type OwnedTensor, type Tensor } from '@qkv/core'
import type { Recorder } from './commands.ts'
import type { DeviceProfile } from './device-profile.ts'
import { disposed } from './errors.ts'
import { Queue } from './queue.ts'
import { bufferBytes, gpuStorage, ownedTensor, storageOf, type GpuStorage } from './storage.ts'
import type { Workspace } from './workspace.ts'

/** What the operations of one backend share: its device and queue, and the mark of its tensors. */
export class Session {
  readonly device: GPUDevice
  readonly profile: DeviceProfile
  /** Milliseconds in which the device must finish something. */
  readonly patience: number
  readonly queue: Queue
  readonly owner: symbol = Symbol('@qkv/webgpu')
  #isDisposed = false

  constructor(device: GPUDevice, profile: DeviceProfile, patience: number) {
    this.device = device
    this.profile = profile
    this.patience = patience
    this.queue = new Queue(device, {
      work: profile.workPerSubmission,
      groups: device.limits.maxComputeWorkgroupsPerDimension,
    })
  }

  /** A function that records `work`, to run with everything else. */
  operation<Given extends unknown[], Result>(
    name: string,
    work: (workspace: Workspace, ...given: Given) => Result,
  ): (...given: Given) => Result {
    return (...given) => {
      this.checkAlive()
      return this.queue.record((recorder) => this.perform(name, recorder, (space) => work(space, ...given)))
    }
  }

  /** Does `work`; where that is refused half-way, what was allocated is given back. */
  perform<Result>(operation: string, recorder: Recorder, work: (workspace: Workspace) => Result): Result {
    const { device, profile, owner } = this
    const allocated: OwnedTensor[] = []
    const kept = <Tensors extends readonly OwnedTensor[]>(tensors: Tensors): Tensors => {
      allocated.push(...tensors)
      return tensors
    }
    try {
      return work({
        recorder,
        limits: device.limits,
        profile,
        operation,
        owner,
        allocate: (shape, dtype, strides) => kept([this.#allocate(shape, dtype, strides)] as const)[0],
        allocatePair: (first, second) => kept(this.#allocatePair(first, second)),
      })
    } catch (cause) {
      for (const tensor of allocated) tensor.dispose()
      throw cause
    }
  }

  #allocate(shape: readonly number[], dtype: Dtype, strides?: readonly number[]): OwnedTensor {
    const bytes = bufferBytes(elementCount(shape), dtype)
    const buffer = this.queue.acquire(bytes)
    return ownedTensor(storageOf(this.owner, buffer, bytes), shape, dtype, () => this.queue.pool.release(buffer), strides)
  }

  #allocatePair(first: readonly number[], second: readonly number[]): [OwnedTensor, OwnedTensor] {
    const offset = Math.ceil(elementCount(first) / 64) * 64
    const bytes = bufferBytes(offset + elementCount(second), 'float32')
    const buffer = this.queue.acquire(bytes)
    let holders = 2
    const release = (): void => {
      if (--holders === 0) this.queue.pool.release(buffer)
    }
    const storage = (): GpuStorage => storageOf(this.owner, buffer, bytes)
    return [
      ownedTensor(storage(), first, 'float32', release),
      ownedTensor(storage(), second, 'float32', release, contiguousStrides(second), offset),
    ]
  }

  bufferOf(tensor: Tensor): GPUBuffer {
    return gpuStorage(this.owner, 'webgpu', 'tensor', tensor).buffer
  }

  /** @throws QkvError `DISPOSED` or `DEVICE_LOST` */
  checkAlive(): void {
    if (this.#isDisposed) throw disposed()
    if (this.queue.lost !== undefined) throw this.queue.lost
  }

  dispose(): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    this.queue.dispose()
  }
}
