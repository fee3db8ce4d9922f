import { referenceGradient, type Bounded, type OwnedTensor } from '@qkv/core'
import { expectWithinBound, tally, type Limits, type ProblemSpec, type RandomProblem, type Tally } from '@qkv/testing'
import type { WebGpuBackend, WebGpuOptions } from '@qkv/webgpu'
import { expect, test } from 'vitest'
import { testBackend, valuesOf } from './support/backend.ts'
import { census, expectProven } from './support/census.ts'
import { problemsByKernel } from './support/problems.ts'

/** Random problems, the device that they are put to, and the kernels that all of them need. */
interface Proof {
  readonly profile: WebGpuOptions['profile']
  readonly variants: number
  readonly dtypes: NonNullable<Limits['dtypes']>
  readonly having?: Partial<ProblemSpec>
  readonly rows?: number
  readonly needs: readonly string[]
  /** The share of problems that may say too little: of halves, whose output's rounding goes through δ into all gradients, more. */
  readonly mistrusted: number
}

const rows = ['gradient-delta', 'gradient-query-rows', 'gradient-key-value-rows']
const tiles = ['gradient-delta', 'gradient-query', 'gradient-key-value']
const float32 = { dtypes: ['float32'], mistrusted: 0.5 } as const
const float16 = { dtypes: ['float16'], mistrusted: 0.9 } as const
const tiled = { software: false, subgroupSize: 0 } as const

const proofs: Readonly<Record<string, Proof>> = {
  'a row per invocation': { ...float32, profile: { software: true }, variants: 9, needs: rows },
  'a row per invocation, of halves': { ...float16, profile: { software: true }, variants: 4, needs: rows },
  'tiles, 32 KiB': { ...float32, profile: tiled, variants: 2, rows: 16, needs: tiles },
  'tiles, 16 KiB': { ...float32, profile: { ...tiled, workgroupBytes: 16384 }, variants: 2, rows: 16, needs: tiles },
  'tiles, of halves': { ...float16, profile: tiled, variants: 1, rows: 16, needs: tiles },
  'biases, sinks and a captured tensor': {
    ...float32,
    profile: { software: true },
    variants: 3,
    having: { bias: '1hqk', sinks: true, score: 'relative' },
    needs: ['gradient-bias', 'gradient-sinks', 'gradient-captured-rows', 'sum-copies'],
  },
}

test.each(Object.entries(proofs))(
  '%s: gradients of random problems stay within their bounds',
  async (_, { profile, variants, dtypes, needs, mistrusted, ...draw }) => {
    using backend = await testBackend(profile)
    const counts = census(backend.device)
    const tallies = new Map<string, Tally>()
    const limits: Limits = { work: 2 ** 14, including: ['dropout'], dtypes }
    for (const random of problemsByKernel({ kernels: variants, each: Math.ceil(165 / variants), seed: 2, limits, ...draw })) {
      await checkGradient(backend, random, tallies)
    }
    tallies.get('dQuery')?.expectTrusted(mistrusted)
    expectProven(counts, needs)
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
