import { randomProblem, type RandomProblem } from '@qkv/testing'
import { softwareGpu } from '@qkv/testing/software-gpu'
import type { MatrixUnit } from '@qkv/webgpu'
import { describe, expect, test, vi } from 'vitest'
import { matrixFeature, matrixUnitOf } from '../src/device-profile.ts'
import { expectAttention, testBackend } from './support/backend.ts'
import { withoutMatrixUnits } from './support/matrix-units.ts'
import { problemsLike } from './support/problems.ts'

const adapter = await softwareGpu().requestAdapter()
const has = (feature: string): boolean => adapter?.features.has(feature) === true

/** Problems for units that multiply `dtype`, of one kernel. */
function* problemsFor(dtype: 'float32' | 'float16'): Generator<RandomProblem> {
  const token = (shape: string, numbers: string, options: string): string =>
    `attention|${dtype}/${dtype}|${shape} d16 v32|${numbers}|plain|${options}softcap=20 sinks lengths poison|7`
  yield randomProblem(token('b2 h6/2 q7 k100', 'normal', ''))
  yield randomProblem(token('b1 h2/1 q40 k70', 'subnormal', 'causal=lower-right '))
  const first = token('b1 h2/1 q40 k70', 'normal', 'causal=lower-right ')
  for (const random of problemsLike(first, { each: 250, seed: 3, limits: { work: 2 ** 16 } })) {
    const { queryLength, group } = random.problem
    const isDecoded = queryLength * group < 16
    if (!isDecoded) yield random
  }
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
      let solved = 0
      for (const { token, problem, expectUntouched } of problemsFor(unit.component === 'f16' ? 'float16' : 'float32')) {
        await expectAttention(backend, problem, token)
        expectUntouched()
        solved++
      }
      expect(played).toBe(1)
      expect(solved).toBeGreaterThanOrEqual(150)
    },
    600_000,
  )
})

test.skipIf(!has(matrixFeature))('prefill in the matrix units of this device stays within its bounds', async ({ skip }) => {
  using plain = await testBackend()
  const matrixUnit = matrixUnitOf(plain.device)
  if (matrixUnit === undefined) return skip('no unit that sums in float32')
  using backend = await testBackend({ software: false, matrixUnit })
  for (const { token, problem } of problemsFor(matrixUnit.component === 'f16' ? 'float16' : 'float32')) {
    await expectAttention(backend, problem, token)
  }
})
