import { QkvError } from '@qkv/core'
import type { Engine, OpenedEngine } from '../engine.ts'
import { wasmMemory } from '../memory/linear-memory.ts'
import { openPool, soloCrew, type Crew } from '../threads/pool.ts'
import { attention } from './attention.ts'
import { attentionGradient } from './gradient.ts'
import { instantiate, type Wasm } from './instance.ts'
import * as layers from './layers.ts'
import * as vectors from './vectors.ts'
import { bestInstructions, compileKernels, type Instructions } from './module.ts'

export interface WasmOptions {
  /** How many threads work, the caller's among them; `'auto'`: as many as there are processors, up to 8. */
  readonly threads: number | 'auto'
  /** For tests: the binary to use. */
  readonly instructions?: Instructions
  /** For tests: see `PoolOptions`. */
  readonly worthSharing?: number
}

/**
 * The kernels in WebAssembly, on one thread or several.
 *
 * @throws QkvError `WASM_UNAVAILABLE`; `WORKER_FAILED` where a given number of threads cannot start. `'auto'` makes do
 * with one thread then, and says so.
 */
export async function openWasmEngine({
  threads,
  instructions = bestInstructions(),
  worthSharing,
}: WasmOptions): Promise<OpenedEngine> {
  const wanted = threads === 'auto' ? Math.min(mostThreads, processors()) : threads
  const hindrance = wanted > 1 ? whatHindersThreads() : undefined
  if (hindrance !== undefined && threads !== 'auto') throw threadsUnavailable(hindrance)
  if (wanted === 1 || hindrance !== undefined) return openAlone(instructions, hindrance)
  try {
    return await openTogether(instructions, wanted, worthSharing)
  } catch (error) {
    if (threads !== 'auto' || !QkvError.is(error) || error.code !== 'WORKER_FAILED') throw error
    return openAlone(instructions, 'workers do not start')
  }
}

const mostThreads = 8

async function openAlone(instructions: Instructions, hindrance: string | undefined): Promise<OpenedEngine> {
  const { module } = await compileKernels(false, instructions)
  const memory = wasmMemory(false)
  const { kernels, record, start } = instantiate(module, memory.memory)
  const wasm: Wasm = { memory, crew: soloCrew(kernels), record }
  return { engine: engineOf(wasm, instructions, hindrance && ` (${hindrance})`), memory, start }
}

async function openTogether(instructions: Instructions, threads: number, worthSharing: number | undefined): Promise<OpenedEngine> {
  const { module } = await compileKernels(true, instructions)
  const memory = wasmMemory(true)
  const { kernels, record, start } = instantiate(module, memory.memory)
  const crew: Crew = await openPool({ memory: memory.memory, module, kernels, threads, worthSharing })
  return { engine: engineOf({ memory, crew, record }, instructions), memory, start }
}

function engineOf(wasm: Wasm, instructions: Instructions, hindrance = ''): Engine {
  return {
    get description() {
      const { threads } = wasm.crew
      return `WebAssembly, ${instructions}, ${threads === 1 ? 'one thread' : `${threads} threads`}${hindrance}`
    },
    attention: (space, problem, target, mostWork) => attention(wasm, space, problem, target, mostWork),
    attentionGradient: (space, problem, forward, dOutput, target) =>
      attentionGradient(wasm, space, problem, forward, dOutput, target),
    linear: (space, input, weight, bias, output) => layers.linear(wasm, space, input, weight, bias, output),
    rmsNorm: (space, input, weight, epsilon, output) => layers.rmsNorm(wasm, space, input, weight, epsilon, output),
    layerNorm: (space, input, weight, bias, epsilon, output) => layers.layerNorm(wasm, space, input, weight, bias, epsilon, output),
    activate: (space, input, activation, output) => layers.activate(wasm, space, input, activation, output),
    add: (space, left, right, output) => layers.combine(wasm, space, 'add', left, right, output),
    multiply: (space, left, right, output) => layers.combine(wasm, space, 'multiply', left, right, output),
    gather: (space, table, indices, output) => layers.gather(wasm, space, table, indices, output),
    rotate: (space, input, table, output) => vectors.rotate(wasm, space, input, table, output),
    copy: (space, source, target) => vectors.copy(wasm, space, source, target),
    quantize: (space, source, target, scales) => vectors.quantize(wasm, space, source, target, scales),
    merge: (space, partials, target) => vectors.merge(wasm, space, partials, target),
    dispose: () => wasm.crew.dispose(),
  }
}

function processors(): number {
  const node = globalThis.process?.getBuiltinModule?.('node:os')
  return node?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1
}

/** What keeps this place from threads: they need memory that can be handed to workers. */
function whatHindersThreads(): string | undefined {
  if (typeof SharedArrayBuffer === 'undefined') return 'threads need a page that is cross-origin isolated'
  if (globalThis.crossOriginIsolated === false) return 'threads need a page that is cross-origin isolated'
  return undefined
}

function threadsUnavailable(hindrance: string): QkvError {
  return new QkvError({
    code: 'WORKER_FAILED',
    operation: 'createCpuBackend',
    argument: 'threads',
    expected: "1 or 'auto' here",
    received: `more (${hindrance})`,
  })
}
