import { problem, tensor } from '@qkv/core'
import { referenceGradient } from '@qkv/core/reference'
import { describe, expect, it } from 'vitest'
import type { AttentionCase } from '../src/cases/case.ts'
import { attentionVectors } from '../src/cases/vectors.ts'
import { headGradient } from '../src/measure/exact/head-gradient.ts'
import { quantile } from '../src/measure/statistics.ts'

const bench: AttentionCase = {
  kind: 'attention',
  id: 'test/gradient',
  source: 'a test',
  batch: 1,
  queryHeads: 1,
  keyHeads: 1,
  queryLength: 70,
  keyLength: 70,
  headDim: 16,
  valueDim: 16,
  causal: true,
  keyDtype: 'float32',
  gradient: 'alone',
}

describe.each([true, false])('the gradient of a long head, causal: %s', (causal) => {
  const ours = headGradient({ ...bench, causal })
  const { query, key, value, dOutput } = attentionVectors({ ...bench, causal })
  const shaped = (data: Float32Array) => tensor(data, [1, 1, bench.queryLength, bench.headDim])
  const theirs = referenceGradient(problem(shaped(query), shaped(key), shaped(value), { causal }), shaped(dOutput!))

  it.each(['dQuery', 'dKey', 'dValue'] as const)('%s is what the reference says', (part) => {
    ours[part].values.forEach((value, i) => expect(value).toBeCloseTo(theirs[part].values[i]!, 12))
  })

  it.each(['dQuery', 'dKey', 'dValue'] as const)(
    'the bound of %s is nowhere below the reference’s, and on the whole less than twice as wide',
    (part) => {
      const ratios = Array.from(ours[part].bound, (bound, i) => bound / theirs[part].bound[i]!)
      expect(Math.min(...ratios)).toBeGreaterThan(0.9)
      expect(quantile(ratios, 0.5)).toBeLessThan(2)
    },
  )
})
