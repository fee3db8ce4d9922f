import { isHostTensor, type AttentionProblem, type OwnedTensor } from '@qkv/core'
import { tally, type Limits } from '@qkv/testing'
import type { WebGpuBackend, WebGpuOptions } from '@qkv/webgpu'
import { expect, test } from 'vitest'
import { largePatches, smallPatches } from '../src/device-profile.ts'
import { expectAttention, testBackend } from './support/backend.ts'
import { census, expectProven } from './support/census.ts'
import { problemsByKernel, type Draw } from './support/problems.ts'

/** Random problems, what the device is said to be for them, and the kernels that all of them need. */
interface Proof extends Partial<Pick<Draw, 'having' | 'rows' | 'keys'>> {
  readonly profile: WebGpuOptions['profile']
  readonly variants: number
  /** Of all variants together; default 160. Fewer where another proof is of the same kernel, which here takes another way. */
  readonly problems?: number
  readonly limits?: Limits
  /** Whether only the device knows how long sequences are. */
  readonly lengthsOnDevice?: boolean
  readonly needs: readonly string[]
}

const busy = { software: false, invocations: 2 ** 15 } as const
const fewQueries: Limits = { queryLength: 3, keyLength: 700 }
/** Where eight heads share keys, three queries are enough rows for tiles: some of these are not decoded. */
const decoding = { variants: 4, problems: 200, limits: fewQueries, needs: ['decode'] } as const
const tiled = { software: false, subgroupSize: 0 } as const
const tiling = { rows: 16, problems: 60, needs: ['prefill'] } as const
const asTuned = { narrow: largePatches.wide, wide: smallPatches.narrow } as const

const proofs: Readonly<Record<string, Proof>> = {
  'a row per invocation': { profile: { software: true }, variants: 12, needs: ['attention-rows'] },
  'decode, subgroups': { ...decoding, profile: busy },
  'decode, no subgroups': { ...decoding, problems: 80, profile: { ...busy, subgroupSize: 0 } },
  'decode, splits counted on the device': {
    profile: busy,
    variants: 3,
    limits: { ...fewQueries, heads: 4, headDim: 64, work: 2 ** 16, dtypes: ['float32'] },
    having: { lengths: true, maskMod: undefined, score: undefined },
    keys: 130,
    lengthsOnDevice: true,
    needs: ['decode', 'count-splits', 'merge'],
  },
  'tiles, 32 KiB': { ...tiling, profile: tiled, variants: 2 },
  'tiles of large patches': { ...tiling, problems: 160, profile: { ...tiled, tilings: largePatches }, variants: 3 },
  'tiles, as tuning may choose them': { ...tiling, profile: { ...tiled, tilings: asTuned }, variants: 2 },
  'tiles, 16 KiB': { ...tiling, profile: { ...tiled, workgroupBytes: 16384 }, variants: 4 },
}

test.each(Object.entries(proofs))(
  '%s: random problems stay within their bounds',
  async (name, { profile, variants, problems = 160, limits, lengthsOnDevice = false, needs, ...draw }) => {
    using backend = await testBackend(profile)
    const counts = census(backend.device)
    const agreements = tally(name)
    const drawn: Limits = { work: 2 ** 15, including: ['quantised', 'dropout'], ...limits }
    for (const { token, problem, expectUntouched } of problemsByKernel({
      kernels: variants,
      each: Math.ceil(problems / variants),
      seed: 1,
      limits: drawn,
      ...draw,
    })) {
      using lengths = lengthsOnDevice ? uploadedLengths(backend, problem) : undefined
      agreements.add(await expectAttention(backend, problem, token, lengths && { ...problem, lengths }), token)
      expectUntouched()
    }
    agreements.expectTrusted(0.2)
    expectProven(counts, needs, problems < 150 ? problems / 2 : 150)
    expect(backend.memory.buffers).toBe(0)
  },
  1_800_000,
)

function uploadedLengths(backend: WebGpuBackend, { lengths }: AttentionProblem): OwnedTensor {
  if (lengths === undefined || !isHostTensor(lengths)) throw new Error('all of these have lengths, drawn on this side')
  return backend.upload(lengths)
}
