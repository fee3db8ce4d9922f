/// <reference path="./wasm-bytes.d.ts" />
import { QkvError } from '@qkv/core'

/** One set of kernels in two binaries: relaxed SIMD multiplies and adds in one instruction. */
export type Instructions = 'relaxed SIMD' | 'SIMD'

/** As `assembly/build.mjs` makes them. Only the one that runs is loaded. */
const deflated = {
  'relaxed SIMD': () => import('../../build/relaxed.deflate.wasm'),
  SIMD: () => import('../../build/simd.deflate.wasm'),
}

export interface CompiledModule {
  readonly module: WebAssembly.Module
  readonly instructions: Instructions
}

/**
 * The best binary that runs here, for memory that threads share or do not.
 *
 * @throws QkvError `WASM_UNAVAILABLE` where WebAssembly with SIMD is missing or forbidden.
 */
export async function compileKernels(shared: boolean, instructions: Instructions = bestInstructions()): Promise<CompiledModule> {
  try {
    const bytes = await inflate((await deflated[instructions]()).default)
    const module = await WebAssembly.compile(shared ? bytes : withUnsharedMemory(bytes))
    return { module, instructions }
  } catch (cause) {
    throw new QkvError({
      code: 'WASM_UNAVAILABLE',
      operation: 'createCpuBackend',
      argument: 'WebAssembly',
      expected: 'available, with SIMD (and allowed by the page: script-src needs wasm-unsafe-eval)',
      received: cause instanceof Error ? cause.message : 'none',
      cause,
    })
  }
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

/** A function of three vectors that is one `f32x4.relaxed_madd`. */
const probe = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 1, 32, 2, 253, 133,
  2, 11,
])

export function bestInstructions(): Instructions {
  return globalThis.WebAssembly?.validate(probe) ? 'relaxed SIMD' : 'SIMD'
}

/** Names the import `memory`, of kind 2, shared and with a maximum: 3. */
const sharedMemoryImport = [6, ...new TextEncoder().encode('memory'), 2, 3]

/** The binary imports shared memory; whether it does is one bit of the import, and the code is the same. */
function withUnsharedMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bytes)
  const start = copy.findIndex((_, index) => sharedMemoryImport.every((byte, at) => copy[index + at] === byte))
  copy[start + sharedMemoryImport.length - 1] = 1
  return copy
}
