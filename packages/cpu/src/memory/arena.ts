import { arrayConstructors, bytesPerElement, QkvError, type ArrayOf, type Dtype } from '@qkv/core'
import type { LinearMemory } from './linear-memory.ts'

/** Every block starts at a multiple of this: a cache line, and any vector. */
export const alignment = 64

/** No block ends closer to the end of memory: kernels look at whole vectors, also where a block ends within one. */
export const margin = 64

export interface MemoryReport {
  /** Bytes that tensors and running operations hold. */
  readonly used: number
  /** Bytes that the arena has of the system. */
  readonly reserved: number
  /** Blocks that tensors and running operations hold. */
  readonly blocks: number
}

interface Block {
  address: number
  bytes: number
}

/**
 * Hands out blocks of one linear memory, which it grows by need. An address is a byte offset, so kernels can take it as
 * a pointer. First fit over a list of free blocks in order of address, neighbours joined.
 */
export class Arena {
  memory: LinearMemory
  readonly #free: Block[] = []
  #end: number
  #used = 0
  #held = 0
  #buffer: ArrayBufferLike | undefined
  #views: { [D in Dtype]?: ArrayOf[D] } = {}

  /** The memory below `start` is not the arena's. */
  constructor(memory: LinearMemory, start: number = alignment) {
    this.memory = memory
    this.#end = roundUp(start, alignment)
  }

  /** The address of `bytes` bytes that hold anything. @throws QkvError `OUT_OF_MEMORY`, and nothing has changed. */
  allocate(operation: string, bytes: number): number {
    const size = blockBytes(bytes)
    const block = this.#firstOf(size) ?? this.#extend(operation, size)
    const { address } = block
    block.address += size
    block.bytes -= size
    if (block.bytes === 0) this.#free.splice(this.#free.indexOf(block), 1)
    this.#held += 1
    this.#used += size
    return address
  }

  /** Takes back, once, what was handed out for `bytes` bytes. */
  free(address: number, bytes: number): void {
    const size = blockBytes(bytes)
    this.#held -= 1
    this.#used -= size
    if (this.memory === noMemory) return
    const next = this.#firstAfter(address)
    const before = next > 0 ? this.#free[next - 1] : undefined
    const after = this.#free[next]
    const joinsBefore = before !== undefined && before.address + before.bytes === address
    const joinsAfter = after !== undefined && address + size === after.address
    if (joinsBefore) {
      before.bytes += size + (joinsAfter ? after.bytes : 0)
      if (joinsAfter) this.#free.splice(next, 1)
    } else if (joinsAfter) {
      after.address = address
      after.bytes += size
    } else {
      this.#free.splice(next, 0, { address, bytes: size })
    }
  }

  /** All of the memory as one dtype's array. Good until the next allocation, which may grow the memory. */
  view<D extends Dtype>(dtype: D): ArrayOf[D] {
    const { buffer } = this.memory
    if (buffer !== this.#buffer) {
      this.#views = {}
      this.#buffer = buffer
    }
    const view: ArrayOf[D] | undefined = this.#views[dtype]
    if (view !== undefined) return view
    const made = new arrayConstructors[dtype](buffer, 0, Math.floor(buffer.byteLength / bytesPerElement[dtype]))
    this.#views[dtype] = made
    return made
  }

  /** Lets go of the memory. Blocks may still be given back; there are no new ones. */
  release(): void {
    this.memory = noMemory
    this.#views = {}
    this.#buffer = undefined
    this.#free.length = 0
  }

  get report(): MemoryReport {
    return { used: this.#used, reserved: this.memory.buffer.byteLength, blocks: this.#held }
  }

  #firstOf(size: number): Block | undefined {
    for (const block of this.#free) if (block.bytes >= size) return block
    return undefined
  }

  /** A free block of at least `size` bytes at the end of the arena, which then is all that the memory has. */
  #extend(operation: string, size: number): Block {
    const last = this.#free.at(-1)
    const open = last !== undefined && last.address + last.bytes === this.#end ? last : undefined
    this.#reserve(operation, size, this.#end + size - (open?.bytes ?? 0) + margin)
    const block = open ?? { address: this.#end, bytes: 0 }
    if (open === undefined) this.#free.push(block)
    const end = this.memory.buffer.byteLength - margin
    block.bytes += end - this.#end
    this.#end = end
    return block
  }

  /** Memory up to `end`, and more where there is more, so that it grows rarely. */
  #reserve(operation: string, size: number, end: number): void {
    const { memory } = this
    const { byteLength } = memory.buffer
    if (end <= byteLength) return
    for (const wanted of [Math.max(end, byteLength + memory.growth), end]) {
      try {
        memory.grow(wanted)
        return
      } catch (cause) {
        if (wanted !== end) continue
        const received = `${byteLength} bytes, of which ${this.#used} are in use, and no more to be had`
        throw new QkvError({
          code: 'OUT_OF_MEMORY',
          operation,
          argument: 'memory',
          expected: `room for ${size} bytes more`,
          received,
          cause,
        })
      }
    }
  }

  #firstAfter(address: number): number {
    let low = 0
    let high = this.#free.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#free[middle]!.address < address) low = middle + 1
      else high = middle
    }
    return low
  }
}

const noMemory: LinearMemory = {
  buffer: new ArrayBuffer(0),
  growth: 0,
  grow() {
    throw new RangeError('the memory was released')
  },
}

function blockBytes(bytes: number): number {
  return roundUp(Math.max(1, bytes), alignment)
}

function roundUp(bytes: number, multiple: number): number {
  const end = bytes + multiple - 1
  return end - (end % multiple)
}
