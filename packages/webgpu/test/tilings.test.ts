import { problem, zeros, type AttentionProblem } from '@qkv/core'
import { failingGpu } from '@qkv/testing/failing-gpu'
import { describe, expect, test } from 'vitest'
import { deviceProfile, largePatches, smallPatches, type DeviceProfile } from '../src/device-profile.ts'
import { gradientKeyValue } from '../src/kernels/gradient-key-value.wgsl.ts'
import { prefill } from '../src/kernels/prefill.wgsl.ts'
import { chooseGradientTiling, chooseTiling } from '../src/operations/tilings.ts'
import { plainPrefill, plainProblem } from './support/specs.ts'

const device = { ...deviceProfile(failingGpu().device, undefined), software: false }

function ofWidth(headDim: number): AttentionProblem {
  const heads = zeros([1, 1, 64, headDim])
  return problem(heads, heads, heads)
}

/** Bytes of workgroup memory that a shader declares. */
function declared(code: string): number {
  return [...code.matchAll(/var<workgroup> \w+: ([^;]*);/g)].reduce((sum, [, type = '']) => {
    const elements = [...type.matchAll(/, (\d+)>/g)].reduce((product, [, length]) => product * Number(length), 1)
    return sum + 16 * elements
  }, 0)
}

describe.each([
  ['small', smallPatches],
  ['large', largePatches],
])('in %s patches', (_, tilings) => {
  test.each([
    [16384, 8],
    [16384, 64],
    [16384, 100],
    [16384, 128],
    [16384, 256],
    [32768, 8],
    [32768, 64],
    [32768, 128],
    [32768, 256],
    [32768, 512],
  ])('%i bytes of workgroup memory are enough for the shaders of heads of %i', (workgroupBytes, headDim) => {
    const profile: DeviceProfile = { ...device, workgroupBytes, tilings }
    const tile = chooseTiling(profile, ofWidth(headDim))
    const forGradient = chooseGradientTiling(profile, ofWidth(headDim))
    if (tile === undefined || forGradient === undefined) throw new Error('there is a tiling')
    const gradient = {
      problem: plainProblem(headDim),
      dOutput: plainProblem(headDim).query,
      slopeCode: undefined,
      tile: forGradient,
    }
    for (const code of [prefill.code(plainPrefill(headDim, tile)), gradientKeyValue.code(gradient)]) {
      expect(declared(code)).toBeGreaterThanOrEqual(8192)
      expect(declared(code)).toBeLessThanOrEqual(workgroupBytes)
    }
  })
})

test('heads that are too wide for the tiles that fit are left to other kernels', () => {
  expect(chooseTiling({ ...device, workgroupBytes: 16384 }, ofWidth(260))).toBeUndefined()
  expect(chooseTiling({ ...device, workgroupBytes: 32768 }, ofWidth(260))).toBeDefined()
})
