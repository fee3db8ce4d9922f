import { referenceGradient, type Bounded, type OwnedTensor } from '@qkv/core'
import { expectWithinBound, tally, type Limits, type RandomProblem, type Tally } from '@qkv/testing'
import type { WebGpuBackend, WebGpuOptions } from '@qkv/webgpu'
import { expect, test } from 'vitest'
import { testBackend, valuesOf } from './support/backend.ts'
import { census, expectProven } from './support/census.ts'
import { problemsByKernel, type Draw } from './support/problems.ts'

/** Random problems, the device that they are put to, and the kernels that all of them need. */
interface Proof extends Partial<Pick<Draw, 'having' | 'rows' | 'keys' | 'ordinary'>> {
  readonly profile: WebGpuOptions['profile']
  readonly variants: number
  /** Of all variants together; default 165. Fewer where another proof is of the same kernels. */
  readonly problems?: number
  readonly dtypes: NonNullable<Limits['dtypes']>
  readonly needs: readonly string[]
  /** The gradients that it proves, each with the share of problems that may say too little of it. */
  readonly mistrusted: Readonly<Record<string, number>>
}

const rows = ['gradient-delta', 'gradient-query-rows', 'gradient-key-value-rows']
const tiles = ['gradient-delta', 'gradient-query', 'gradient-key-value']
// Few kernels are drawn, so biases, sinks and captured tensors are left to a proof of their own.
const float32 = { dtypes: ['float32'], ordinary: 0.7, mistrusted: { dQuery: 0.4, dKey: 0.4, dValue: 0.15 } } as const
// The rounding of an output of halves goes through δ into what queries and keys get: where one key takes all, or numbers are at
// the ends of what halves hold, bounds say little. So most of their problems are of ordinary numbers, over some keys.
const float16 = { dtypes: ['float16'], ordinary: 0.8, keys: 16, mistrusted: { dQuery: 0.25, dKey: 0.25, dValue: 0.1 } } as const
const tiled = { software: false, subgroupSize: 0 } as const

const proofs: Readonly<Record<string, Proof>> = {
  'a row per invocation': { ...float32, profile: { software: true }, variants: 9, needs: rows },
  'a row per invocation, of halves': { ...float16, profile: { software: true }, variants: 4, needs: rows },
  'tiles, 32 KiB': { ...float32, profile: tiled, variants: 2, rows: 16, needs: tiles },
  'tiles, 16 KiB': { ...float32, profile: { ...tiled, workgroupBytes: 16384 }, variants: 2, problems: 60, rows: 16, needs: tiles },
  'tiles, of halves': { ...float16, profile: tiled, variants: 1, problems: 60, rows: 16, needs: tiles },
  'biases, sinks and a captured tensor': {
    ...float32,
    profile: { software: true },
    variants: 3,
    having: { bias: '1hqk', sinks: true, score: 'relative' },
    needs: ['gradient-bias', 'gradient-sinks', 'gradient-captured-rows', 'sum-copies'],
    mistrusted: { dQuery: 0.3, dKey: 0.3, dValue: 0.3, dBias: 0.3, dSinks: 0.3, captured: 0.3 },
  },
}

test.each(Object.entries(proofs))(
  '%s: gradients of random problems stay within their bounds',
  async (_, { profile, variants, problems = 165, dtypes, needs, mistrusted, ...draw }) => {
    using backend = await testBackend(profile)
    const counts = census(backend.device)
    const tallies = new Map<string, Tally>()
    const limits: Limits = { work: 2 ** 14, including: ['dropout'], dtypes }
    for (const random of problemsByKernel({ kernels: variants, each: Math.ceil(problems / variants), seed: 2, limits, ...draw })) {
      await checkGradient(backend, random, tallies)
    }
    for (const [name, share] of Object.entries(mistrusted)) {
      const results = tallies.get(name) ?? tally(name)
      expect(results.problems, name).toBeGreaterThan(0)
      results.expectTrusted(share)
    }
    expectProven(counts, needs, problems < 150 ? problems / 2 : 150)
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
