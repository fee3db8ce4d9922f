import type { QkvError } from '@qkv/core'
import { BufferPool } from './buffer-pool.ts'
import { buffersOf, encodeCommands, isDispatch, packUniforms, Recorder, type Command, type WorkLimits } from './commands.ts'
import { deviceLost, outOfMemory, submissionFailed } from './errors.ts'
import { PipelineCache } from './pipeline-cache.ts'

/**
 * Runs recorded work in order. Commands wait until the end of the current task, then go to the device together, a
 * bounded amount per submission, once their pipelines are compiled; nothing blocks and nothing is read back.
 *
 * Whatever goes wrong on the device is remembered with the buffers that were to be written, spreads to what is computed
 * from them, and is thrown by the one who reads them.
 */
export class Queue {
  readonly device: GPUDevice
  readonly pool: BufferPool
  readonly pipelines: PipelineCache
  readonly limits: WorkLimits
  #commands: Command[] = []
  #draining = false
  #waiters: (() => void)[] = []
  #uniforms: GPUBuffer | undefined
  #staging: GPUBuffer | undefined
  #isDisposed = false
  readonly #checks = new Set<Promise<void>>()
  readonly #failures = new WeakMap<GPUBuffer, QkvError>()
  #lost: QkvError | undefined
  readonly #lossListeners = new Set<(error: QkvError) => void>()
  #finished = 0

  constructor(device: GPUDevice, limits: WorkLimits) {
    this.device = device
    this.limits = limits
    this.pool = new BufferPool((descriptor) => this.#create(descriptor), device.limits.maxBufferSize)
    this.pipelines = new PipelineCache(device)
    void device.lost.then((information) => {
      this.#lost = deviceLost(information)
      this.#commands = []
      this.#wake()
      for (const listener of this.#lossListeners) listener(this.#lost)
    })
  }

  get lost(): QkvError | undefined {
    return this.#lost
  }

  /** Calls `listener` once when the device is lost; the result takes it back. */
  onLost(listener: (error: QkvError) => void): () => void {
    this.#lossListeners.add(listener)
    return () => void this.#lossListeners.delete(listener)
  }

  /** How many submissions and pipelines the device has finished: what a deadline watches. */
  get finished(): number {
    return this.#finished
  }

  acquire(byteLength: number): GPUBuffer {
    const buffer = this.pool.acquire(byteLength)
    this.#failures.delete(buffer)
    return buffer
  }

  #create(descriptor: GPUBufferDescriptor): GPUBuffer {
    this.device.pushErrorScope('out-of-memory')
    const buffer = this.device.createBuffer(descriptor)
    this.#check(this.device.popErrorScope(), (cause) => {
      this.#failures.set(buffer, outOfMemory(descriptor.size, cause))
      this.pool.condemn(buffer)
    })
    return buffer
  }

  /** Records an operation to run with everything else; what it took for itself is free again once it was submitted. */
  record<T>(operation: (recorder: Recorder) => T): T {
    const { result, commands, release } = this.stage(operation)
    this.enqueue(commands)
    release()
    return result
  }

  /** Records an operation without running it. `release` gives back what it took for itself. */
  stage<T>(operation: (recorder: Recorder) => T): { result: T; commands: readonly Command[]; release: () => void } {
    if (this.#lost !== undefined) throw this.#lost
    const held: GPUBuffer[] = []
    const acquire = (byteLength: number): GPUBuffer => {
      const buffer = this.acquire(byteLength)
      held.push(buffer)
      return buffer
    }
    const release = (): void => {
      for (const buffer of held.splice(0)) this.pool.release(buffer)
      this.#wakeDrain()
    }
    const recorder = new Recorder(this.pipelines, this.limits, acquire, (buffer, bytes) => writeBytes(this.device, buffer, bytes))
    try {
      return { result: operation(recorder), commands: recorder.commands, release }
    } catch (cause) {
      release()
      throw cause
    }
  }

  enqueue(commands: readonly Command[]): void {
    for (const command of commands) this.#commands.push(command)
    this.#wakeDrain()
  }

  #wakeDrain(): void {
    if (this.#draining) return
    this.#draining = true
    queueMicrotask(() => this.#drain())
  }

  /** Resolves when all recorded work has been handed to the device. */
  async flush(): Promise<void> {
    if (this.#draining) await new Promise<void>((resolve) => this.#waiters.push(resolve))
    if (this.#lost !== undefined) throw this.#lost
  }

  /** Resolves when the device has finished what was submitted. */
  async idle(): Promise<void> {
    try {
      await this.device.queue.onSubmittedWorkDone()
    } catch (cause) {
      throw this.#lost ?? submissionFailed(cause)
    }
  }

  /** @throws what went wrong, if anything did, with the work that wrote `buffer`. Call after {@link flush}. */
  async check(buffer: GPUBuffer): Promise<void> {
    await Promise.all(this.#checks)
    if (this.#lost !== undefined) throw this.#lost
    const failure = this.#failures.get(buffer)
    if (failure !== undefined) throw failure
  }

  /** A buffer to read `size` bytes back through: what an earlier read has left, or a new one. */
  takeStaging(size: number): GPUBuffer {
    const left = this.#staging
    if (left === undefined || left.size < size) {
      return this.device.createBuffer({ size: Math.max(size, keptStaging), usage: stagingUsage })
    }
    this.#staging = undefined
    return left
  }

  /** Keeps an unmapped buffer for the next read: making one takes longer than copying a little. */
  leaveStaging(buffer: GPUBuffer): void {
    if (this.#isDisposed || this.#staging !== undefined || buffer.size > keptStaging) buffer.destroy()
    else this.#staging = buffer
  }

  dispose(): void {
    this.#isDisposed = true
    this.#commands = []
    this.#uniforms?.destroy()
    this.#staging?.destroy()
    this.pool.dispose()
    this.#wake()
  }

  #drain(): void {
    while (this.#commands.length > 0) {
      const waiting = this.#commands.find((command) => isDispatch(command) && command.compiled.program === undefined)
      const ready = waiting === undefined ? this.#commands.length : this.#commands.indexOf(waiting)
      if (ready === 0 && waiting !== undefined && isDispatch(waiting)) {
        waiting.compiled.ready.then(
          () => {
            this.#finished++
            this.#drain()
          },
          (failure: QkvError) => {
            this.#skip(waiting, failure)
            this.#drain()
          },
        )
        return
      }
      const taken = this.bounded(this.#commands.slice(0, ready), 0)
      this.#commands.splice(0, taken.length)
      this.#submit(taken)
    }
    this.pool.settle()
    this.#wake()
  }

  /** The commands from `start` on that one submission may hold. */
  bounded(commands: readonly Command[], start: number): Command[] {
    let end = start
    let work = 0
    for (; end < commands.length; end++) {
      const command = commands[end]
      work += command !== undefined && isDispatch(command) ? command.work : 0
      if (work > this.limits.work && end > start) break
    }
    return commands.slice(start, end)
  }

  #submit(taken: readonly Command[]): void {
    const commands = taken.filter((command) => {
      const failure = buffersOf(command)
        .read.map((buffer) => this.#failures.get(buffer))
        .find(Boolean)
      if (failure !== undefined) this.#fail(command, failure)
      return failure === undefined
    })
    if (commands.length === 0) return
    const { device } = this
    device.pushErrorScope('validation')
    device.pushErrorScope('out-of-memory')
    const encoder = device.createCommandEncoder()
    encodeCommands(device, encoder, commands, this.#writeUniforms(commands))
    device.queue.submit([encoder.finish()])
    const failed = (cause: GPUError): void => {
      const earlier = commands
        .flatMap((command) => [...buffersOf(command).read, ...buffersOf(command).written])
        .map((buffer) => this.#failures.get(buffer))
        .find(Boolean)
      for (const command of commands) this.#fail(command, earlier ?? submissionFailed(cause))
    }
    this.#check(device.popErrorScope(), failed)
    this.#check(device.popErrorScope(), failed)
    device.queue.onSubmittedWorkDone().then(
      () => this.#finished++,
      () => undefined,
    )
  }

  #writeUniforms(commands: readonly Command[]): GPUBuffer | undefined {
    const bytes = packUniforms(commands)
    if (bytes.byteLength === 0) return undefined
    if (this.#uniforms === undefined || this.#uniforms.size < bytes.byteLength) {
      this.#uniforms?.destroy()
      this.#uniforms = this.device.createBuffer({ size: Math.max(2 ** 14, 2 * bytes.byteLength), usage: uniformUsage })
    }
    writeBytes(this.device, this.#uniforms, bytes) // ordered after earlier submissions, so one buffer serves them all
    return this.#uniforms
  }

  #skip(command: Command, failure: QkvError): void {
    this.#commands.splice(this.#commands.indexOf(command), 1)
    this.#fail(command, failure)
  }

  #fail(command: Command, failure: QkvError): void {
    for (const buffer of buffersOf(command).written) this.#failures.set(buffer, failure)
  }

  #check(scope: Promise<GPUError | null>, failed: (error: GPUError) => void): void {
    const check: Promise<void> = scope
      .then(
        (error) => (error === null ? undefined : failed(error)),
        () => undefined,
      )
      .then(() => void this.#checks.delete(check))
    this.#checks.add(check)
  }

  #wake(): void {
    this.#draining = false
    const waiters = this.#waiters
    this.#waiters = []
    for (const resolve of waiters) resolve()
  }
}

const uniformUsage = 0x40 | 0x08 // UNIFORM | COPY_DST
const stagingUsage = 0x01 | 0x08 // MAP_READ | COPY_DST
/** In bytes. */
const keptStaging = 2 ** 16

/** A uniform buffer that holds `bytes`. */
export function uniformBuffer(device: GPUDevice, bytes: Uint8Array): GPUBuffer {
  const buffer = device.createBuffer({ size: Math.max(16, bytes.byteLength), usage: uniformUsage })
  writeBytes(device, buffer, bytes)
  return buffer
}

export function writeBytes(device: GPUDevice, buffer: GPUBuffer, bytes: Uint8Array, offset = 0): void {
  const whole = bytes.byteLength - (bytes.byteLength % 4)
  const isShared = !(bytes.buffer instanceof ArrayBuffer) // what not all devices take
  const own = isShared ? new Uint8Array(bytes) : (bytes as Uint8Array<ArrayBuffer>)
  if (whole > 0) device.queue.writeBuffer(buffer, offset, own, 0, whole)
  if (whole === bytes.byteLength) return
  const tail = new Uint8Array(4)
  tail.set(bytes.subarray(whole))
  device.queue.writeBuffer(buffer, offset + whole, tail)
}
