import { problem, tensor } from '@qkv/core'
import { createCpuBackend, type CpuOptions } from '@qkv/cpu'
import { describe, expect, test } from 'vitest'

describe('createCpuBackend', () => {
  test('takes WebAssembly by default, and says so', async () => {
    const backend = await createCpuBackend()
    expect(backend.description).toMatch(/WebAssembly/)
    backend.dispose()
  })

  test('takes JavaScript on demand, and says so', async () => {
    const backend = await createCpuBackend({ engine: 'javascript' })
    expect(backend.description).toMatch(/JavaScript/)
    backend.dispose()
  })

  test('takes JavaScript where WebAssembly is forbidden, and says why; not where WebAssembly was asked for', async () => {
    await withoutWebAssembly(async () => {
      const backend = await createCpuBackend()
      expect(backend.description).toMatch(/JavaScript.*WebAssembly.*forbidden here/)
      expect(backend.attention(smallProblem()).output.shape).toEqual([1, 1, 2, 2])
      backend.dispose()
      for (const options of [{ engine: 'wasm' }, { threads: 2 }] as const) {
        await expect(createCpuBackend(options)).rejects.toMatchObject({ code: 'WASM_UNAVAILABLE' })
      }
    })
  })

  test.each<[string, unknown, string]>([
    ['an engine that is none', { engine: 'gpu' }, 'engine'],
    ['no threads', { threads: 0 }, 'threads'],
    ['half a thread', { threads: 1.5 }, 'threads'],
    ['threads that are no number', { threads: 'many' }, 'threads'],
    ['threads of JavaScript', { engine: 'javascript', threads: 2 }, 'threads'],
  ])('refuses %s', async (_, options, argument) => {
    await expect(createCpuBackend(options as CpuOptions)).rejects.toMatchObject({ code: 'OPTION_INVALID', argument })
  })

  test('reports its memory, which grows by need and not by use', async () => {
    const backend = await createCpuBackend({ engine: 'javascript' })
    expect(backend.memory()).toMatchObject({ used: 0, tensors: 0 })
    const held = backend.empty([1000, 100])
    expect(backend.memory().used).toBeGreaterThanOrEqual(400_000)
    expect(backend.memory().tensors).toBe(1)
    const { reserved } = backend.memory()
    held.dispose()
    for (let round = 0; round < 1000; round++) backend.attention(smallProblem()).output.dispose()
    expect(backend.memory()).toEqual({ used: 0, reserved, tensors: 0 })
    backend.dispose()
  })

  test.each<CpuOptions>([{ engine: 'javascript' }, { engine: 'wasm', threads: 1 }])(
    'memory grows with length, not with its square: %o',
    async (options) => {
      const backend = await createCpuBackend(options)
      const length = 32_768
      const sequence = tensor(
        Float32Array.from({ length: length * 8 }, (_, index) => Math.sin(index)),
        [1, 1, length, 8],
      )
      const outside = process.memoryUsage().arrayBuffers
      let most = 0
      const measure = (): number =>
        (most = Math.max(most, backend.memory().reserved + process.memoryUsage().arrayBuffers - outside))
      const { output } = await backend.attentionInSteps(
        problem(sequence, sequence, sequence, { causal: true, window: { left: 64 } }),
        { onProgress: measure },
      )
      // Three operands copied in, and the output, each of 1 MiB; the scores would be 4 GiB.
      expect(most).toBeLessThan(12 * 2 ** 20)
      expect(most).toBeGreaterThan(2 ** 20)
      output.dispose()
      backend.dispose()
    },
  )

  test.each([-1, 3])('refuses to gather row %i of three, and leaves nothing behind', async (row) => {
    const backend = await createCpuBackend({ engine: 'javascript' })
    const indices = tensor(Int32Array.of(0, row, 2), [3])
    const refusal = { code: 'OPTION_INVALID', argument: 'indices', received: String(row) }
    expect(() => backend.gather(tensor(new Float32Array(6), [3, 2]), indices)).toThrow(expect.objectContaining(refusal))
    expect(backend.memory().tensors).toBe(0)
    backend.dispose()
  })

  test('what does not fit into memory is refused, and the backend goes on', async () => {
    const backend = await createCpuBackend({ threads: 1 })
    expect(() => backend.empty([2 ** 20, 2 ** 11])).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY', operation: 'empty' }))
    backend.attention(smallProblem()).output.dispose()
    expect(backend.memory()).toMatchObject({ used: 0, tensors: 0 })
    backend.dispose()
  })
})

function smallProblem() {
  const some = tensor([1, 2, 3, 4], [1, 1, 2, 2])
  return problem(some, some, some)
}

/** As under a content security policy without `wasm-unsafe-eval`. */
async function withoutWebAssembly(run: () => Promise<void>): Promise<void> {
  const { compile } = WebAssembly
  WebAssembly.compile = () => Promise.reject(new WebAssembly.CompileError('forbidden here'))
  try {
    await run()
  } finally {
    WebAssembly.compile = compile
  }
}
