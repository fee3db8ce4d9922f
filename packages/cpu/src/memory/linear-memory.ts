/** One flat piece of memory that can grow, whose bytes have addresses. */
export interface LinearMemory {
  /** Replaced when the memory grows: ask again after every allocation. */
  readonly buffer: ArrayBufferLike
  /** Makes the buffer at least `byteLength` long. @throws RangeError where that much is not to be had. */
  grow(byteLength: number): void
  /** How many bytes more to ask for at a time, since growing has a price. */
  readonly growth: number
}

export const pageBytes = 65_536

/** Memory that WebAssembly modules can share a view of; with `shared`, threads too. */
export interface WasmLinearMemory extends LinearMemory {
  readonly memory: WebAssembly.Memory
}

export function wasmMemory(shared: boolean): WasmLinearMemory {
  return new GrowingWasmMemory(shared ? sharedMemory(mostPages) : new WebAssembly.Memory({ initial: 1, maximum: mostPages }))
}

class GrowingWasmMemory implements WasmLinearMemory {
  readonly memory: WebAssembly.Memory
  readonly growth = 1 << 20
  /** Asking the memory each time would cost more than most of what is done with the answer. */
  buffer: ArrayBufferLike

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory
    this.buffer = memory.buffer
  }

  grow(byteLength: number): void {
    const pages = Math.ceil(Math.max(0, byteLength - this.buffer.byteLength) / pageBytes)
    if (pages === 0) return
    this.memory.grow(pages)
    this.buffer = this.memory.buffer
  }
}

/** All that 32 bits address. */
const mostPages = 65_536

/** Shared memory must say how far it may grow, and some engines set that much address space aside at once. */
function sharedMemory(maximum: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: 1, maximum, shared: true })
  } catch (error) {
    if (!(error instanceof RangeError) || maximum <= 1024) throw error
    return sharedMemory(maximum / 2)
  }
}

/** Memory for engines without WebAssembly: growing copies, so it grows in proportion. */
export function plainMemory(): LinearMemory {
  let buffer = new ArrayBuffer(pageBytes)
  return {
    get growth() {
      return buffer.byteLength / 4
    },
    get buffer() {
      return buffer
    },
    grow(byteLength) {
      if (byteLength <= buffer.byteLength) return
      const grown = new ArrayBuffer(Math.ceil(byteLength / pageBytes) * pageBytes)
      new Uint8Array(grown).set(new Uint8Array(buffer))
      buffer = grown
    },
  }
}
