import type { LinearMemory } from '../memory/linear-memory.ts'
import type { Workspace } from '../memory/workspace.ts'
import type { Crew, Kernel, Kernels, Task } from '../threads/pool.ts'
import type { Draft } from './draft.ts'
import { layerRecordBytes } from './layer-record.ts'
import { vectorRecordBytes } from './vector-record.ts'

/** What every operation of the engine works with. */
export interface Wasm {
  readonly memory: LinearMemory
  readonly crew: Crew
  /** Where the record of a kernel lies that runs to its end at once: one at a time, so that none is allocated for each call. */
  readonly record: number
}

/** Has a kernel do all units of what a layer's or vectors' record says. */
export function runAtOnce(wasm: Wasm, space: Workspace, kernel: string, draft: Draft, units: number, work: number): void {
  draft.write(space, wasm.record)
  wasm.crew.run(taskOf(wasm, space, kernel, wasm.record, work), 0, units)
}

/** A kernel set to work on a record, with scratch memory for each thread. */
export function taskOf({ crew }: Wasm, space: Workspace, kernel: string, record: number, work: number): Task {
  const scratchBytes = crew.scratchBytes(kernel, record)
  const scratch = scratchBytes === 0 ? 0 : space.scratch(scratchBytes * crew.threads)
  return { kernel, record, scratch, scratchBytes, work }
}

/** Bytes of {@link Wasm.record}. */
export const recordBytes: number = Math.max(layerRecordBytes, vectorRecordBytes)

/** The kernels over a memory, where there is room for a record, and the first byte that is left free. */
export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): { kernels: Kernels; record: number; start: number } {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } })
  const functions = new Map(Object.entries(exports).filter(isFunction))
  const kernels: Record<string, Kernel> = {}
  for (const [name, run] of functions) {
    const scratchBytes = functions.get(`${name}Scratch`)
    if (!name.endsWith('Scratch'))
      kernels[name] = { run, scratchBytes: scratchBytes && ((record) => Number(scratchBytes(record, 0, 0))) }
  }
  const { end } = exports
  const record = Math.ceil((end instanceof WebAssembly.Global ? Number(end.value) : 0) / 64) * 64
  return { kernels, record, start: record + recordBytes }
}

/** Every function that is exported takes a record, a unit and scratch memory. */
function isFunction(entry: [string, WebAssembly.ExportValue]): entry is [string, Kernel['run']] {
  return typeof entry[1] === 'function'
}
