import { describe, QkvError } from '@qkv/core'
import type { OpenedEngine } from './engine.ts'
import { plainMemory } from './memory/linear-memory.ts'
import { openWasmEngine } from './wasm/open.ts'

export interface CpuOptions {
  /**
   * What computes. `'auto'`, the default: WebAssembly with SIMD, or portable JavaScript where that is missing or a page
   * forbids it; the backend's description says which, and why.
   */
  readonly engine?: 'auto' | 'wasm' | 'javascript' | undefined
  /**
   * How many threads work, the caller's among them. `'auto'`, the default: as many as there are processors, up to 8, and
   * one where memory cannot be shared.
   */
  readonly threads?: number | 'auto' | undefined
}

/** The engine that was asked for, or the best there is. */
export async function openEngine({ engine = 'auto', threads = 'auto' }: CpuOptions): Promise<OpenedEngine> {
  checkOptions(engine, threads)
  if (engine === 'javascript') return portableEngine('')
  try {
    return await openWasmEngine({ threads })
  } catch (error) {
    const mayDoWithout = engine === 'auto' && (threads === 'auto' || threads === 1)
    if (!mayDoWithout || !QkvError.is(error) || error.code !== 'WASM_UNAVAILABLE') throw error
    return portableEngine(` (WebAssembly is unavailable: ${error.received})`)
  }
}

/** No kernels of its own: every operation is left to the portable ones. */
function portableEngine(reason: string): OpenedEngine {
  return { engine: { description: `portable JavaScript${reason}`, dispose() {} }, memory: plainMemory(), start: 0 }
}

function checkOptions(engine: CpuOptions['engine'], threads: CpuOptions['threads']): void {
  if (engine !== 'auto' && engine !== 'wasm' && engine !== 'javascript') {
    throw invalid('engine', "'auto', 'wasm' or 'javascript'", describe(engine))
  }
  const counts = typeof threads === 'number' && Number.isSafeInteger(threads) && threads >= 1 && threads <= mostThreads
  if (threads !== 'auto' && !counts)
    throw invalid('threads', `'auto' or a whole number from 1 to ${mostThreads}`, describe(threads))
  if (engine === 'javascript' && threads !== 'auto' && threads !== 1)
    throw invalid('threads', '1 for portable JavaScript', describe(threads))
}

const mostThreads = 256

function invalid(argument: string, expected: string, received: string): QkvError {
  return new QkvError({ code: 'OPTION_INVALID', operation: 'createCpuBackend', argument, expected, received })
}
