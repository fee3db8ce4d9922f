import { toFloat64 } from '@qkv/core'
import { compileExpression } from '@qkv/core/expression'
import { alibi, alibiSlopes } from '@qkv/positional'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { describe, expect, test } from 'vitest'
import { readJson } from './support/vectors.ts'

const keras = sharedFolder('vectors/keras')

describe.skipIf(keras === undefined)('Keras’s AlibiBias', () => {
  test('gives the same biases for any head count and maximum', () => {
    const { alibi: cases } = readJson<{
      alibi: { num_heads: number; alibi_bias_max: number; q_len: number; k_len: number; expected: number[][] }[]
    }>(keras ?? '', 'golden.json')
    expect(cases).toHaveLength(4)
    for (const { num_heads: heads, alibi_bias_max: maximum, k_len: keys, expected } of cases) {
      const change = compileExpression(alibi({ heads, maximum }).scoreMod.node)
      expected.forEach((row, head) =>
        row.forEach((bias, key) => expect(Math.abs(change(0, head, keys - 1, key, 0, 0) - bias)).toBeLessThanOrEqual(5e-8)),
      )
    }
  })
})

test('a key at its query’s place loses nothing, and keys on either side lose the same', () => {
  const change = compileExpression(alibi({ heads: 3 }).scoreMod.node)
  expect(change(0, 2, 7, 7, 7, 1.5)).toBe(1.5)
  expect(change(0, 2, 7, 3, 7, 1.5)).toBe(change(0, 2, 7, 11, 7, 1.5))
})

test('slopes of a power of two fall by a constant factor', () => {
  const slopes = toFloat64(alibiSlopes(16))
  slopes.forEach((slope, head) => expect(slope).toBeCloseTo(2 ** (-(head + 1) / 2), 7))
})
