import type { LinearMemory } from '../memory/linear-memory.ts'
import type { Crew, Kernels } from '../threads/pool.ts'

/** What every operation of the engine works with. */
export interface Wasm {
  readonly memory: LinearMemory
  readonly crew: Crew
}

/** The kernels over a memory, and the first byte of it that they leave free. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): { kernels: Kernels; start: number } {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } })
  const kernels = Object.fromEntries(Object.entries(exports).filter(isKernel))
  const { end } = exports
  return { kernels, start: end instanceof WebAssembly.Global ? Number(end.value) : 0 }
}

type Kernel = Kernels[string]

/** Every function that is exported takes a record, a unit and scratch memory. */
function isKernel(entry: [string, WebAssembly.ExportValue]): entry is [string, Kernel] {
  return typeof entry[1] === 'function'
}
