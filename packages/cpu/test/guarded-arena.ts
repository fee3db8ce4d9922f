import { Arena } from '../src/memory/arena.ts'

const guardBytes = 256

/** NaN as either half, and twice over as float32. */
const poison = 0x7fff

/**
 * An arena whose blocks hold NaN when they are handed out and lie between guards of NaN, which giving a block back
 * checks: tensors, copies of operands and scratch memory alike.
 */
export class GuardedArena extends Arena {
  override allocate(operation: string, bytes: number): number {
    const whole = guardedBytes(bytes)
    const address = super.allocate(operation, whole)
    this.#halves(address, whole).fill(poison)
    return address + guardBytes
  }

  override free(address: number, bytes: number): void {
    if (this.memory.buffer.byteLength > 0) {
      const end = address + Math.ceil(bytes / 2) * 2
      for (const [side, start] of [
        ['before', address - guardBytes],
        ['after', end],
      ] as const) {
        const touched = this.#halves(start, guardBytes).findIndex((half) => half !== poison)
        if (touched >= 0) throw new Error(`a guard ${side} a block of ${bytes} bytes was written to, at byte ${2 * touched} of it`)
      }
    }
    super.free(address - guardBytes, guardedBytes(bytes))
  }

  #halves(address: number, bytes: number): Uint16Array {
    return new Uint16Array(this.memory.buffer, address, bytes / 2)
  }
}

function guardedBytes(bytes: number): number {
  return Math.ceil(bytes / 2) * 2 + 2 * guardBytes
}
