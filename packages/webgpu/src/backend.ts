import {
  bytesPerElement,
  contiguousStrides,
  elementCount,
  isContiguous,
  QkvError,
  reach,
  type Activation,
  type AttentionGradient,
  type AttentionProblem,
  type AttentionRequest,
  type AttentionResult,
  type Backend,
  type Dtype,
  type HostTensor,
  type OwnedTensor,
  type Partial,
  type RotaryTable,
  type Tensor,
  type TensorOptions,
  type TypedArray,
  type Watch,
} from '@qkv/core'
import type { PoolStatistics } from './buffer-pool.ts'
import { encodeCommands, packUniforms, type Recorder } from './commands.ts'
import { acquireDevice, type DeviceOptions } from './device.ts'
import { deviceProfile, type DeviceProfile } from './device-profile.ts'
import { disposed } from './errors.ts'
import { attention, attentionInto, loadDeviceKernels } from './operations/attention.ts'
import { attentionShape } from './operations/bind-problem.ts'
import { expectLayout, expectReadable } from './operations/checks.ts'
import { contiguous, copyElements, copyTensor } from './operations/copy.ts'
import { activateElements, combineElements } from './operations/elementwise.ts'
import { attentionGradient } from './operations/gradient.ts'
import { gatherRows, multiplyByWeight, normaliseRows, rotateVectors } from './operations/layers.ts'
import { mergePartials } from './operations/merge.ts'
import { quantizeVectors } from './operations/quantize.ts'
import { inSteps } from './operations/steps.ts'
import { Queue, uniformBuffer, writeBytes } from './queue.ts'
import { withPatience } from './patience.ts'
import { readBuffer } from './readback.ts'
import { bufferBytes, gpuStorage, ownedTensor, storageOf } from './storage.ts'
import { operand, scratchOperand, type Workspace } from './workspace.ts'

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
  /** Resolves when all issued work has been handed to the device, for those who submit work of their own after it. */
  flush(): Promise<void>
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
  const queue = new Queue(device, {
    work: profile.workPerSubmission,
    groups: device.limits.maxComputeWorkgroupsPerDimension,
  })
  const patience = options.patience ?? 60_000
  const owner = Symbol('@qkv/webgpu')
  let isDisposed = false

  function allocate(shape: readonly number[], dtype: Dtype, strides?: readonly number[]): OwnedTensor {
    const bytes = bufferBytes(elementCount(shape), dtype)
    const buffer = queue.acquire(bytes)
    return ownedTensor(storageOf(owner, buffer, bytes), shape, dtype, () => queue.pool.release(buffer), strides)
  }

  function allocatePair(first: readonly number[], second: readonly number[]): [OwnedTensor, OwnedTensor] {
    const offset = Math.ceil(elementCount(first) / 64) * 64
    const bytes = bufferBytes(offset + elementCount(second), 'float32')
    const buffer = queue.acquire(bytes)
    let holders = 2
    const release = (): void => {
      if (--holders === 0) queue.pool.release(buffer)
    }
    return [
      ownedTensor(storageOf(owner, buffer, bytes), first, 'float32', release),
      ownedTensor(storageOf(owner, buffer, bytes), second, 'float32', release, contiguousStrides(second), offset),
    ]
  }

  function workspace(operation: string, recorder: Recorder): Workspace {
    return { recorder, limits: device.limits, profile, operation, owner, allocate, allocatePair }
  }

  function run<T>(operation: string, work: (workspace: Workspace) => T): T {
    checkAlive()
    return queue.record((recorder) => work(workspace(operation, recorder)))
  }

  function bufferOf(tensor: Tensor): GPUBuffer {
    return gpuStorage(owner, 'webgpu', 'tensor', tensor).buffer
  }

  function checkAlive(): void {
    if (isDisposed) throw disposed()
    if (queue.lost !== undefined) throw queue.lost
  }

  const backend: WebGpuBackend = {
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

    attention: (problem: AttentionProblem, request: AttentionRequest = {}): AttentionResult =>
      run('attention', (space) => attention(space, kernels, problem, request.lse === true)),

    async attentionInSteps(problem: AttentionProblem, request: AttentionRequest & Watch): Promise<AttentionResult> {
      checkAlive()
      const compute = (recorder: Recorder): AttentionResult =>
        attention(workspace('attention', recorder), kernels, problem, request.lse === true)
      return inSteps(queue, compute, request, patience, bufferOf)
    },

    attentionGradient: (problem: AttentionProblem, forward: Partial, dOutput: Tensor): AttentionGradient =>
      run('attentionGradient', (space) => attentionGradient(space, problem, forward, dOutput)),

    merge: (partials: readonly Partial[]): AttentionResult => run('merge', (space) => mergePartials(space, partials)),

    linear: (input: Tensor, weight: Tensor, bias?: Tensor): OwnedTensor =>
      run('linear', (space) => multiplyByWeight(space, input, weight, bias)),

    rmsNorm: (input: Tensor, weight: Tensor, epsilon: number): OwnedTensor =>
      run('rmsNorm', (space) => normaliseRows(space, input, weight, undefined, epsilon, false)),

    layerNorm: (input: Tensor, weight: Tensor, bias: Tensor | undefined, epsilon: number): OwnedTensor =>
      run('layerNorm', (space) => normaliseRows(space, input, weight, bias, epsilon, true)),

    activate: (input: Tensor, activation: Activation): OwnedTensor =>
      run('activate', (space) => activateElements(space, activation, input)),

    add: (left: Tensor, right: Tensor): OwnedTensor => run('add', (space) => combineElements(space, 'add', left, right)),

    multiply: (left: Tensor, right: Tensor): OwnedTensor =>
      run('multiply', (space) => combineElements(space, 'multiply', left, right)),

    gather: (table: Tensor, indices: Tensor): OwnedTensor => run('gather', (space) => gatherRows(space, table, indices)),

    copy: (source: Tensor, target: Tensor): void => run('copy', (space) => copyTensor(space, source, target)),

    quantize: (source: Tensor, target: Tensor, scales: Tensor): void =>
      run('quantize', (space) => quantizeVectors(space, source, target, scales)),

    rotate: (input: Tensor, table: RotaryTable): OwnedTensor => run('rotate', (space) => rotateVectors(space, input, table)),

    empty: (shape: readonly number[], dtype: Dtype = 'float32'): OwnedTensor =>
      run('empty', (space) => {
        expectLayout(space, shape, dtype)
        const { recorder } = space
        const result = allocate(shape, dtype)
        recorder.clear(bufferOf(result))
        return result
      }),

    upload: (tensor: HostTensor): OwnedTensor =>
      run('upload', (space) => {
        expectReadable(space, 'tensor', tensor)
        const result = allocate(tensor.shape, tensor.dtype)
        if (isContiguous(tensor)) {
          const { buffer, byteOffset, BYTES_PER_ELEMENT: size } = tensor.storage
          const bytes = new Uint8Array(buffer, byteOffset + tensor.offset * size, elementCount(tensor.shape) * size)
          writeBytes(device, bufferOf(result), bytes)
        } else {
          copyElements(space, operand(space, 'tensor', tensor), operand(space, 'result', result))
        }
        return result
      }),

    async read(tensor: Tensor, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<TypedArray> {
      checkAlive()
      const span = run('read', (space) => {
        expectReadable(space, 'tensor', tensor)
        const view = operand(space, 'tensor', tensor)
        const splitsWord = (view.offset * bytesPerElement[tensor.dtype]) % 4 !== 0
        const { binding, offset } = contiguous(space, view, tensor.dtype, splitsWord)
        const byteOffset = (binding.offset ?? 0) + offset * bytesPerElement[tensor.dtype]
        return { buffer: binding.buffer, byteOffset, count: elementCount(tensor.shape), dtype: tensor.dtype }
      })
      return readBuffer(queue, span, { operation: 'read', patience, signal })
    },

    fromBuffer(buffer, shape, dtype = 'float32', { strides, offset = 0 } = {}) {
      checkAlive()
      return {
        dtype,
        shape: [...shape],
        strides: [...(strides ?? contiguousStrides(shape))],
        offset,
        storage: storageOf(owner, buffer, buffer.size),
      }
    },

    toBuffer(tensor) {
      checkAlive()
      expectReadable({ operation: 'toBuffer', owner }, 'tensor', tensor)
      const { buffer } = gpuStorage(owner, 'toBuffer', 'tensor', tensor)
      const { first, last } = reach(tensor.shape, tensor.strides, tensor.offset)
      const bytes = bytesPerElement[tensor.dtype]
      return { buffer, offset: first * bytes, size: (last + 1 - first) * bytes }
    },

    encode(encoder, problem, { output, lse }) {
      checkAlive()
      const { commands, release } = queue.stage((recorder) => {
        const space = workspace('encode', recorder)
        const rows = attentionShape(problem).slice(0, 3)
        const lseOperand = lse ? operand(space, 'lse', lse) : scratchOperand(space, rows)
        attentionInto(space, kernels, problem, operand(space, 'output', output), lseOperand)
      })
      const uniforms = uniformBuffer(device, packUniforms(commands))
      encodeCommands(device, encoder, commands, uniforms)
      return {
        [Symbol.dispose](): void {
          uniforms.destroy()
          release()
        },
      }
    },

    flush: () => withPatience(queue, queue.flush(), { operation: 'flush', patience }),
    onLost: (listener) => queue.onLost(listener),

    dispose(): void {
      if (isDisposed) return
      isDisposed = true
      queue.dispose()
      if (owned) device.destroy()
    },
    [Symbol.dispose](): void {
      backend.dispose()
    },
  }
  return backend
}

function describeDevice(information: globalThis.Partial<GPUAdapterInfo> | undefined, { software }: DeviceProfile): string {
  const parts = [information?.vendor, information?.architecture, information?.description].filter(Boolean)
  return `WebGPU on ${parts.length > 0 ? parts.join(' ') : 'an adapter that does not say what it is'}${software ? ' (software)' : ''}`
}
