import type { Backend, FloatDtype, OwnedTensor } from '@qkv/core'
import { expect, test } from 'vitest'
import { take, type Suite } from '../suite.ts'
import { casesOf, randomCase, type Case } from './case.ts'
import { unitOf, type Estimate } from './estimate.ts'

/** How claims about layer operations are checked. */
export interface LayerChecks {
  readonly backend: () => Backend
  /** A GPU rounds in either direction, and its functions are a few units in the last place off. */
  readonly slack: number
  /** Checks a claim on many random cases. A case that fails is told by its token; QKV_TOKEN replays it alone. */
  forRandomCases(claim: string, check: (current: Case) => Promise<void>, count?: number): void
  /** @throws where an element is further from the exact one than float32 arithmetic and rounding to its dtype account for. */
  expectClose(actual: OwnedTensor, expected: Estimate, current: Case): Promise<void>
  expectExactly(actual: OwnedTensor, expected: Float64Array, current: Case): Promise<void>
}

export function layerChecks(suite: Suite, backend: () => Backend): LayerChecks {
  const smallest = (dtype: FloatDtype): number =>
    dtype !== 'float16' ? 2 ** -126 : suite.platform === 'wgsl' ? 2 ** -14 : 2 ** -25
  const slack = suite.platform === 'wgsl' ? 8 : 1
  return {
    backend,
    slack,

    forRandomCases(claim, check, count = 2000) {
      test(claim, async () => {
        for (const numbers of casesOf(suite, claim, count)) {
          const current = randomCase(claim, numbers)
          await check(current)
          current.expectUntouched()
        }
      })
    },

    async expectClose(actual, expected, current) {
      const unit = unitOf[actual.dtype as FloatDtype]
      const values = await take(backend(), actual)
      expect(values.length, current.name).toBe(expected.values.length)
      values.forEach((value, index) => {
        const exact = expected.values[index]!
        const rounded = (expected.error[index] ?? 0) + unit * Math.abs(exact)
        const bound = 1.01 * slack * rounded + smallest(actual.dtype as FloatDtype)
        if (value === exact || Math.abs(value - exact) <= bound) return
        expect.fail(`element ${index} is ${value} instead of ${exact} ± ${bound}: ${current.name}`)
      })
    },

    async expectExactly(actual, expected, current) {
      const values = await take(backend(), actual)
      expect(values.length, current.name).toBe(expected.length)
      const index = values.findIndex((value, index) => !Object.is(value, expected[index]))
      if (index >= 0) expect.fail(`element ${index} is ${values[index]} instead of ${expected[index]}: ${current.name}`)
    },
  }
}
