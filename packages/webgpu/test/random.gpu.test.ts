import { tally, type Limits } from '@qkv/testing'
import { expect, test } from 'vitest'
import { largePatches, smallPatches } from '../src/device-profile.ts'
import { expectAttention, testBackend } from './support/backend.ts'
import { problemsByKernel } from './support/problems.ts'

/** What the device is said to be, so that every kernel is chosen. */
const kernels = {
  'a row per invocation': { profile: { software: true }, kernels: 12, limits: {} },
  'decode, subgroups': {
    profile: { software: false, invocations: 2 ** 15 },
    kernels: 4,
    limits: { queryLength: 3, keyLength: 700 },
  },
  'decode, no subgroups': {
    profile: { software: false, invocations: 2 ** 15, subgroupSize: 0 },
    kernels: 4,
    limits: { queryLength: 3, keyLength: 700 },
  },
  'tiles, 32 KiB': { profile: { software: false, subgroupSize: 0 }, kernels: 2, limits: {} },
  'tiles of large patches': { profile: { software: false, subgroupSize: 0, tilings: largePatches }, kernels: 3, limits: {} },
  'tiles, as tuning may choose them': {
    profile: { software: false, subgroupSize: 0, tilings: { narrow: largePatches.wide, wide: smallPatches.narrow } },
    kernels: 2,
    limits: {},
  },
  'tiles, 16 KiB': { profile: { software: false, subgroupSize: 0, workgroupBytes: 16384 }, kernels: 4, limits: {} },
} as const

test.each(Object.entries(kernels))(
  '%s: random problems stay within their bounds',
  async (name, { profile, kernels, limits }) => {
    using backend = await testBackend(profile)
    const agreements = tally(name)
    const draw = {
      kernels,
      each: Math.ceil(160 / kernels),
      seed: 1,
      limits: { work: 2 ** 15, including: ['quantised', 'dropout'], ...limits } satisfies Limits,
    }
    for (const { token, problem, expectUntouched } of problemsByKernel(draw)) {
      agreements.add(await expectAttention(backend, problem, token), token)
      expectUntouched()
    }
    agreements.expectTrusted(0.2)
    expect(backend.memory.buffers).toBe(0)
  },
  1_800_000,
)
