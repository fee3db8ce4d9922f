import { reference, tensor, toFloat64 } from '@qkv/core'
import { compare, randomProblem } from '@qkv/testing'
import { createWebGpuBackend, type WebGpuOptions } from '@qkv/webgpu'

/** The error of each random problem's output, in shares of its bound, on a device that is said to be as `profile` says. */
async function worstErrors(profile: WebGpuOptions['profile'], tokens: readonly string[]): Promise<number[]> {
  using backend = await createWebGpuBackend({ profile, patience: 600_000 })
  const errors: number[] = []
  for (const token of tokens) {
    const { problem } = randomProblem(token)
    const { output } = backend.attention(problem)
    const values = toFloat64(tensor(await backend.read(output), output.shape, { dtype: output.dtype }))
    output.dispose()
    const exact = reference(problem, { backend: 'wgsl' })
    errors.push(compare(values, { values: exact.output, bound: exact.bound }, 'wgsl').worstRatio)
  }
  return errors
}

Object.assign(globalThis, { worstErrors })
