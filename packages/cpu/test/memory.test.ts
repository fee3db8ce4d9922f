import { broadcastTo, problem, QkvError, zeros, type HostTensor, type OwnedTensor, type ProblemOptions } from '@qkv/core'
import { createCpuBackend, type CpuBackend, type CpuOptions } from '@qkv/cpu'
import { describe, expect, test } from 'vitest'
import { distances, slopes } from './learned-scores.ts'

const mebibyte = 2 ** 20

/** Long problems at their real size. All memory is taken before the first slice is computed, so they are stopped after it. */
describe.each<CpuOptions>([
  { engine: 'wasm', threads: 1 },
  { engine: 'wasm', threads: 2 },
])('beyond queries, keys, values and the output, %o', (options) => {
  test.each([
    ['32K tokens in 8 heads', 8, 32_768, false],
    ['32K tokens in 8 heads, causal,', 8, 32_768, true],
    ['128K tokens, causal,', 1, 131_072, true],
  ])('%s take less than 4 MiB', async (_, heads, length, causal) => {
    using backend = await createCpuBackend(options)
    const [query, key, value] = [0, 1, 2].map(() => backend.empty([1, heads, length, 64])) as [
      OwnedTensor,
      OwnedTensor,
      OwnedTensor,
    ]
    const tensors = 4 * heads * length * 64 * 4
    const { used, reserved } = await memoryAtWork(backend, (watch) =>
      backend.attentionInSteps(problem(query, key, value, { causal }), watch),
    )
    expect(used).toBeGreaterThan(tensors)
    expect(used - tensors).toBeLessThan(4 * mebibyte)
    expect(reserved - tensors).toBeLessThan(4 * mebibyte)
    expect(backend.memory().tensors).toBe(3)
  })
})

test.each<[string, (heads: number, length: number) => ProblemOptions]>([
  ['a bias that repeats', (_, length) => ({ bias: broadcastTo(zeros([1, 1, 1, length]), [1, 2, length, length]) })],
  ['learned slopes', (heads) => ({ score: slopes(zeros([heads])) })],
  ['a table of distances', (heads) => ({ score: distances(zeros([heads, 9])) })],
])('the gradient of %s takes no matrix of all pairs', async (_, optionsOf) => {
  using backend = await createCpuBackend({ engine: 'wasm', threads: 1 })
  const [heads, length] = [2, 2048]
  const some = (): HostTensor => zeros([1, heads, length, 8])
  const asked = problem(some(), some(), some(), { causal: true, ...optionsOf(heads, length) })
  const { output, lse } = backend.attention(asked, { lse: true })
  backend.attentionGradient(asked, { output, lse: lse! }, some())
  expect(backend.memory().reserved).toBeLessThan((heads * length * length * 4) / 4)
})

/** What a backend holds during the first slice of some work, which is then stopped. */
async function memoryAtWork(
  backend: CpuBackend,
  work: (watch: { signal: AbortSignal; onProgress: () => void }) => Promise<unknown>,
): Promise<ReturnType<CpuBackend['memory']>> {
  const stop = new AbortController()
  let memory = backend.memory()
  const onProgress = (): void => {
    memory = backend.memory()
    stop.abort()
  }
  const outcome = work({ signal: stop.signal, onProgress })
  await expect(outcome).rejects.toSatisfy((error) => QkvError.is(error) && error.code === 'ABORTED')
  return memory
}
