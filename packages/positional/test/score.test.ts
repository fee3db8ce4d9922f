import { reference } from '@qkv/core'
import { compileExpression } from '@qkv/core/expression'
import { createCpuBackend } from '@qkv/cpu'
import { expectWithinBound } from '@qkv/testing'
import { describe, expect, test } from 'vitest'
import { scoreClaims } from './claims/scores.ts'
import { chunks, claimProblems, expectAttention, keys } from './support/attention.ts'

describe.each(scoreClaims)('$name', (claim) => {
  const { heads, encoding, expected } = claim

  test('follows its formula for every pair', () => {
    const change = compileExpression(encoding.scoreMod.node)
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < keys; i++) {
        for (let j = 0; j < keys; j++) {
          const exact = expected(head, i, j, 0.75)
          expect(Math.abs(change(0, head, i, j, i, 0.75) - exact), `${head}, ${i}, ${j}`).toBeLessThanOrEqual(
            2e-6 * (1 + Math.abs(exact)),
          )
        }
      }
    }
  })

  test.each(chunks)('attends as a tensor of all pairs does, for %d queries', (queries) => {
    const { byExpression, byTensor } = claimProblems(claim, queries)
    const [actual, exact] = [reference(byExpression), reference(byTensor)]
    const bound = actual.bound.map((allowed, i) => allowed + exact.bound[i]!)
    expectWithinBound(
      actual.output,
      { values: exact.output, bound },
      { name: 'output', shape: [1, heads, queries, 5], token: claim.name },
    )
  })

  test.each(chunks)('the CPU backend does too, for %d queries', async (queries) => {
    const { byExpression, byTensor } = claimProblems(claim, queries)
    using backend = await createCpuBackend()
    await expectAttention(backend, byExpression, byTensor, claim.name, 'cpu')
  })
})
