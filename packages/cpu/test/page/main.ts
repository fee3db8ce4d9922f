import { problem, QkvError, tensor } from '@qkv/core'
import { createCpuBackend } from '@qkv/cpu'

/** What a page learns of a backend with so many threads: its description, and outputs as bits; or why there is none. */
async function tryThreads(threads: number | 'auto'): Promise<{ description: string; bits: number[] } | { code: string }> {
  try {
    const backend = await createCpuBackend({ threads })
    const shape = [1, 4, 200, 32]
    const noise = (seed: number): Float32Array => Float32Array.from({ length: 4 * 200 * 32 }, (_, index) => Math.sin(index * seed))
    const [q, k, v] = [1.1, 2.3, 3.7].map((seed) => tensor(noise(seed), shape))
    const result = await backend.read(backend.attention(problem(q!, k!, v!, { causal: true })).output)
    const { description } = backend
    backend.dispose()
    return { description, bits: [...new Uint32Array(result.buffer, result.byteOffset, result.length)] }
  } catch (error) {
    if (QkvError.is(error)) return { code: error.code }
    throw error
  }
}

Object.assign(globalThis, { tryThreads })
