import type { Workspace } from '../memory/workspace.ts'

/** The address of a copy of a few numbers. */
export function placeVector(space: Workspace, numbers: Float32Array | Int32Array | Uint8Array): number {
  const address = space.scratch(numbers.byteLength)
  new Uint8Array(space.arena.memory.buffer, address, numbers.byteLength).set(
    new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength),
  )
  return address
}
