import { randomProblem, distributions } from '@qkv/testing'
import { softwareGpu } from '@qkv/testing/software-gpu'
import type { MatrixUnit } from '@qkv/webgpu'
import { describe, expect, test, vi } from 'vitest'
import { matrixFeature, matrixUnitOf } from '../src/device-profile.ts'
import { expectAttention, testBackend } from './support/backend.ts'
import { withoutMatrixUnits } from './support/matrix-units.ts'

const adapter = await softwareGpu().requestAdapter()
const has = (feature: string): boolean => adapter?.features.has(feature) === true

/** Problems for units that multiply `dtype`, of one kernel. */
function tokensFor(dtype: 'float32' | 'float16'): string[] {
  const token = (shape: string, numbers: string, options: string, seed: number): string =>
    `attention|${dtype}/${dtype}|${shape} d16 v32|${numbers}|plain|${options} softcap=20 sinks lengths poison|${seed}`
  return [
    ...distributions.map((numbers, seed) => token('b1 h2/1 q40 k70', numbers, 'causal=lower-right', seed)),
    token('b2 h6/2 q7 k100', 'normal', '', 21),
    token('b1 h2/1 q33 k31', 'ascending', 'window=9:3', 22),
    token('b2 h4/2 q35 k65', 'large', 'causal=upper-left', 23),
  ].map((token) => token.replace('| softcap', '|softcap'))
}

const units: readonly MatrixUnit[] = [
  { m: 8, n: 8, k: 8, component: 'f32', smallestSubgroup: 32, largestSubgroup: 32 },
  { m: 16, n: 16, k: 16, component: 'f16', smallestSubgroup: 32, largestSubgroup: 64 },
]

describe.each(units)('prefill in matrices of $m×$k by $k×$n $component, played by other instructions,', (unit) => {
  test.skipIf(unit.component === 'f16' && !has('shader-f16'))(
    'stays within its bounds',
    async () => {
      using backend = await testBackend({ software: false, matrixUnit: unit })
      const make = backend.device.createShaderModule.bind(backend.device)
      let played = 0
      vi.spyOn(backend.device, 'createShaderModule').mockImplementation((descriptor) => {
        const code = withoutMatrixUnits(descriptor.code, unit)
        if (code !== descriptor.code) played++
        return make({ ...descriptor, code })
      })
      for (const token of tokensFor(unit.component === 'f16' ? 'float16' : 'float32')) {
        const { problem, expectUntouched } = randomProblem(token)
        await expectAttention(backend, problem, token)
        expectUntouched()
      }
      expect(played).toBe(1)
    },
    600_000,
  )
})

test.skipIf(!has(matrixFeature))('prefill in the matrix units of this device stays within its bounds', async () => {
  using plain = await testBackend()
  const matrixUnit = matrixUnitOf(plain.device)
  if (matrixUnit === undefined) return
  using backend = await testBackend({ software: false, matrixUnit })
  for (const token of tokensFor(matrixUnit.component === 'f16' ? 'float16' : 'float32')) {
    await expectAttention(backend, randomProblem(token).problem, token)
  }
})
