import { bufferTooLarge } from './errors.ts'

export interface PoolStatistics {
  /** Buffers and bytes that tensors and pending work hold. */
  readonly buffers: number
  readonly bytes: number
  /** Bytes kept for reuse. */
  readonly idleBytes: number
}

const usage = 0x100 | 0x80 | 0x04 | 0x08 // INDIRECT | STORAGE | COPY_SRC | COPY_DST, spelled out since Node has no GPUBufferUsage

/**
 * Storage buffers, reused by size. What is released while work is still being recorded waits in `settling` until that
 * work has been submitted: the queue then orders every later use after it.
 */
export class BufferPool {
  readonly #create: (descriptor: GPUBufferDescriptor) => GPUBuffer
  readonly #maxBufferSize: number
  readonly #maxIdleBytes: number
  readonly #idle = new Map<number, GPUBuffer[]>()
  #settling: GPUBuffer[] = []
  readonly #condemned = new WeakSet<GPUBuffer>()
  readonly #live = new Set<GPUBuffer>()
  #liveBytes = 0
  #idleBytes = 0

  constructor(create: (descriptor: GPUBufferDescriptor) => GPUBuffer, maxBufferSize: number, maxIdleBytes: number = 128 * 2 ** 20) {
    this.#create = create
    this.#maxBufferSize = maxBufferSize
    this.#maxIdleBytes = maxIdleBytes
  }

  get statistics(): PoolStatistics {
    return { buffers: this.#live.size, bytes: this.#liveBytes, idleBytes: this.#idleBytes }
  }

  /** A buffer of at least `byteLength` bytes; its contents are anything. */
  acquire(byteLength: number): GPUBuffer {
    const size = sizeClass(byteLength)
    if (size > this.#maxBufferSize) throw bufferTooLarge(byteLength, this.#maxBufferSize)
    const reused = this.#idle.get(size)?.pop()
    if (reused !== undefined) this.#idleBytes -= size
    const buffer = reused ?? this.#create({ size, usage })
    this.#live.add(buffer)
    this.#liveBytes += size
    return buffer
  }

  release(buffer: GPUBuffer): void {
    if (!this.#live.delete(buffer)) return
    this.#liveBytes -= buffer.size
    this.#settling.push(buffer)
  }

  /** Never to be reused, for the device had no memory for it; known only some time after it was acquired. */
  condemn(buffer: GPUBuffer): void {
    this.#condemned.add(buffer)
    const shelf = this.#idle.get(buffer.size) ?? []
    if (!shelf.includes(buffer)) return
    shelf.splice(shelf.indexOf(buffer), 1)
    this.#idleBytes -= buffer.size
    buffer.destroy()
  }

  /** Call when all recorded work has been submitted. */
  settle(): void {
    for (const buffer of this.#settling) {
      if (this.#condemned.has(buffer) || this.#idleBytes + buffer.size > this.#maxIdleBytes) {
        buffer.destroy()
        continue
      }
      this.#idleBytes += buffer.size
      const shelf = this.#idle.get(buffer.size)
      if (shelf === undefined) this.#idle.set(buffer.size, [buffer])
      else shelf.push(buffer)
    }
    this.#settling = []
  }

  dispose(): void {
    for (const buffer of [...this.#live, ...this.#settling, ...[...this.#idle.values()].flat()]) buffer.destroy()
    this.#live.clear()
    this.#idle.clear()
    this.#settling = []
    this.#liveBytes = this.#idleBytes = 0
  }
}

/** Powers of two and the three quarters between them below 1 MiB, then whole MiB: little waste, much reuse. */
function sizeClass(byteLength: number): number {
  if (byteLength > 2 ** 20) return Math.ceil(byteLength / 2 ** 20) * 2 ** 20
  const power = 2 ** Math.ceil(Math.log2(Math.max(256, byteLength)))
  return byteLength <= 0.75 * power && power >= 1024 ? 0.75 * power : power
}
