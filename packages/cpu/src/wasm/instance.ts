import type { LinearMemory } from '../memory/linear-memory.ts'
import type { Workspace } from '../memory/workspace.ts'
import type { Crew, Kernel, Kernels, Task } from '../threads/pool.ts'

/** What every operation of the engine works with. */
export interface Wasm {
  readonly memory: LinearMemory
  readonly crew: Crew
}

/** A kernel set to work on a record, with scratch memory for each thread. */
export function taskOf({ crew }: Wasm, space: Workspace, kernel: string, record: number, work: number): Task {
  const scratchBytes = crew.scratchBytes(kernel, record)
  const scratch = scratchBytes === 0 ? 0 : space.scratch(scratchBytes * crew.threads)
  return { kernel, record, scratch, scratchBytes, work }
}

/** The kernels over a memory, and the first byte of it that they leave free. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): { kernels: Kernels; start: number } {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } })
  const functions = new Map(Object.entries(exports).filter(isFunction))
  const kernels: Record<string, Kernel> = {}
  for (const [name, run] of functions) {
    const scratchBytes = functions.get(`${name}Scratch`)
    if (!name.endsWith('Scratch'))
      kernels[name] = { run, scratchBytes: scratchBytes && ((record) => Number(scratchBytes(record, 0, 0))) }
  }
  const { end } = exports
  return { kernels, start: end instanceof WebAssembly.Global ? Number(end.value) : 0 }
}

/** Every function that is exported takes a record, a unit and scratch memory. */
function isFunction(entry: [string, WebAssembly.ExportValue]): entry is [string, Kernel['run']] {
  return typeof entry[1] === 'function'
}
