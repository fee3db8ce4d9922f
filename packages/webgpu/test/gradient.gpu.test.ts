import { referenceGradient, type Bounded, type OwnedTensor } from '@qkv/core'
import { expectWithinBound, tally, type Limits, type RandomProblem, type Tally } from '@qkv/testing'
import type { WebGpuBackend } from '@qkv/webgpu'
import { expect, test } from 'vitest'
import { testBackend, valuesOf } from './support/backend.ts'
import { problemsByKernel } from './support/problems.ts'

/** What the device is said to be, so that every kernel is chosen. */
const kernels = {
  'a row per invocation': { profile: { software: true }, kernels: 9, limits: {} },
  'tiles, 32 KiB': { profile: { software: false, subgroupSize: 0 }, kernels: 2, limits: {} },
  'tiles, 16 KiB': { profile: { software: false, subgroupSize: 0, workgroupBytes: 16384 }, kernels: 2, limits: {} },
} as const

test.each(Object.entries(kernels))(
  '%s: gradients of random problems stay within their bounds',
  async (_, { profile, kernels, limits }) => {
    using backend = await testBackend(profile)
    const tallies = new Map<string, Tally>()
    const draw = {
      kernels,
      each: Math.ceil(150 / kernels),
      seed: 2,
      limits: { work: 2 ** 14, including: ['dropout'], dtypes: ['float32'], ...limits } satisfies Limits,
    }
    // Halves are left to the suite of all backends: their output's rounding goes through δ into every gradient, and widens its
    // bound.
    for (const random of problemsByKernel(draw)) await checkGradient(backend, random, tallies)
    tallies.get('dQuery')?.expectTrusted(0.5)
    expect(backend.memory.buffers).toBe(0)
  },
  1_800_000,
)

async function checkGradient(
  backend: WebGpuBackend,
  { problem, dOutput, token, expectUntouched }: RandomProblem,
  tallies: Map<string, Tally>,
): Promise<void> {
  const exact = referenceGradient(problem, dOutput, { backend: 'wgsl' })
  const { output, lse } = backend.attention(problem, { lse: true })
  if (lse === undefined) throw new Error('lse was asked for')
  const gradient = backend.attentionGradient(problem, { output, lse }, dOutput)
  output.dispose()
  lse.dispose()
  const check = async (name: string, actual: OwnedTensor | undefined, expected: Bounded | undefined): Promise<void> => {
    expect(actual === undefined, `${name} of ${token}`).toBe(expected === undefined)
    if (actual === undefined || expected === undefined) return
    const agreement = expectWithinBound(await valuesOf(backend, actual), expected, {
      name,
      shape: actual.shape,
      token,
      backend: 'wgsl',
    })
    const results = tallies.get(name) ?? tally(name)
    tallies.set(name, results)
    results.add(agreement, token)
    actual.dispose()
  }
  for (const name of ['dQuery', 'dKey', 'dValue', 'dBias', 'dSinks'] as const) await check(name, gradient[name], exact[name])
  for (const [tensor, expected] of exact.captured) await check('captured', gradient.captured.get(tensor), expected)
  expectUntouched()
}
