import { randomProblem, type RandomProblem } from '@qkv/testing'
import { softwareGpu } from '@qkv/testing/software-gpu'
import type { MatrixUnit } from '@qkv/webgpu'
import { describe, test, vi } from 'vitest'
import { matrixFeature } from '../src/device.ts'
import { matrixUnitOf } from '../src/matrix-units.ts'
import { expectAttention, testBackend } from './support/backend.ts'
import { census, expectProven } from './support/census.ts'
import { withoutMatrixUnits } from './support/matrix-units.ts'
import { problemsLike } from './support/problems.ts'

const adapter = await softwareGpu().requestAdapter()
const has = (feature: string): boolean => adapter?.features.has(feature) === true

/** Some 155 problems of what a unit multiplies, of one kernel, or a share of so many. */
function* problemsFor({ component }: MatrixUnit, share = 1): Generator<RandomProblem> {
  const dtype = component === 'f16' ? 'float16' : 'float32'
  const token = (shape: string, numbers: string, options: string): string =>
    `attention|${dtype}/${dtype}|${shape} d16 v32|${numbers}|plain|${options}softcap=20 sinks lengths poison|7`
  yield randomProblem(token('b1 h2/1 q40 k70', 'subnormal', 'causal=lower-right '))
  yield* problemsLike(token('b2 h6/2 q7 k100', 'normal', ''), { each: 55 * share, seed: 4, limits, rows: 16 })
  yield* problemsLike(token('b1 h2/1 q40 k70', 'normal', 'causal=lower-right '), { each: 100 * share, seed: 3, limits, rows: 16 })
}

const limits = { work: 2 ** 14 } as const

const units: readonly MatrixUnit[] = [
  { m: 8, n: 8, k: 8, component: 'f32', smallestSubgroup: 32, largestSubgroup: 32 },
  { m: 16, n: 16, k: 16, component: 'f16', smallestSubgroup: 32, largestSubgroup: 64 },
]

/** The second unit is the same kernel with other numbers. */
const shares = { f32: 1, f16: 0.4 } as const

describe.each(units)('prefill in matrices of $m×$k by $k×$n $component, played by other instructions,', (unit) => {
  test('stays within its bounds', async () => {
    using backend = await testBackend({ software: false, matrixUnit: unit })
    const make = backend.device.createShaderModule.bind(backend.device)
    vi.spyOn(backend.device, 'createShaderModule').mockImplementation((descriptor) =>
      make({ ...descriptor, code: withoutMatrixUnits(descriptor.code, unit, has('shader-f16')) }),
    )
    const counts = census(backend.device)
    const share = shares[unit.component]
    for (const { token, problem, expectUntouched } of problemsFor(unit, share)) {
      await expectAttention(backend, problem, token)
      expectUntouched()
    }
    expectProven(counts, ['prefill-matrix'], 150 * share)
  }, 1_800_000)
})

test.skipIf(!has(matrixFeature))('prefill in the matrix units of this device stays within its bounds', async ({ skip }) => {
  using plain = await testBackend()
  const matrixUnit = matrixUnitOf(plain.device)
  if (matrixUnit === undefined) return skip('no unit that sums in float32')
  using backend = await testBackend({ software: false, matrixUnit })
  for (const { token, problem } of problemsFor(matrixUnit)) {
    await expectAttention(backend, problem, token)
  }
})
