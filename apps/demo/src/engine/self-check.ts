import { attention } from '@qkv/attention'
import { problem, reference, tensor, type Backend, type HostTensor } from '@qkv/core'
import type { SelfCheck } from './engine.ts'

const shape = [1, 4, 128, 32]

/** Attention over vectors that are drawn anew for each visit, on the backend and in float64, compared by the error bound. */
export async function selfCheck(backend: Backend): Promise<SelfCheck> {
  const [query, key, value] = [randomTensor(), randomTensor(), randomTensor()]
  const exact = reference(problem(query, key, value, { causal: true }), { backend: backend.name === 'webgpu' ? 'wgsl' : 'cpu' })
  const compute = async (): Promise<ArrayLike<number>> => {
    const { output } = await attention(query, key, value, { backend, causal: true })
    using computed = output
    return backend.read(computed)
  }
  // The first call also compiles and warms up.
  const actual = await compute()
  const start = performance.now()
  await compute()
  const milliseconds = performance.now() - start
  const errors = Array.from(exact.output, (expected, index) => Math.abs((actual[index] ?? NaN) - expected))
  return {
    problem: `${shape[1]} heads, ${shape[2]} tokens, causal`,
    elements: errors.length,
    largestError: Math.max(...errors),
    shareOfBound: Math.max(...errors.map((error, index) => error / (exact.bound[index] ?? 0))),
    milliseconds,
  }
}

function randomTensor(): HostTensor {
  const count = shape.reduce((product, size) => product * size, 1)
  return tensor(
    Float32Array.from({ length: count }, () => 4 * Math.random() - 2),
    shape,
  )
}
