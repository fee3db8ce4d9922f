import { problem, reference, tensor, type AttentionProblem, type Backend } from '@qkv/core'
import { expect, test } from 'vitest'
import { expectAttention, takeAttention } from '../suite.ts'
import type { Claims } from './claims.ts'
import { poisoned } from './problem-parts.ts'

/** NaN and infinities reach what sees them, and nothing else. */
export function notFiniteClaims({ backend, forRandomProblems }: Claims): void {
  forRandomProblems(
    'a query or key that is not finite poisons just the rows that see it',
    { without: ['quantised'] },
    async ({ problem, token, stream }) => {
      await expectPoisoned(
        backend(),
        { ...problem, query: poisoned(problem.query, stream), key: poisoned(problem.key, stream) },
        token,
      )
    },
    100,
  )

  // Of equal weights none is too small to matter.
  forRandomProblems(
    'a value that is not finite poisons just its component, in the rows that see it',
    { without: ['quantised', 'bias', 'score', 'sinks'] },
    async ({ problem, token, stream }) => {
      await expectPoisoned(backend(), { ...problem, scale: 0, value: poisoned(problem.value, stream) }, token)
    },
    100,
  )

  test('a NaN is seen even under a weight that is too small for a number', async () => {
    const query = tensor(new Float32Array(8).fill(1), [1, 1, 8, 1])
    const key = tensor(Float32Array.of(0, -2000), [1, 1, 2, 1])
    const { output } = await takeAttention(backend(), problem(query, key, tensor(Float32Array.of(1, NaN), [1, 1, 2, 1])))
    expect(output).toEqual(new Float64Array(8).fill(NaN))
  })
}

async function expectPoisoned(backend: Backend, asked: AttentionProblem, token: string): Promise<void> {
  const expected = reference(asked)
  // An infinite product may have a finite softcapped score, of whose error nothing is known but that it is finite.
  const known = (bound: Float64Array): Float64Array => bound.map((own) => (Number.isNaN(own) ? Infinity : own))
  const bounds = { bound: known(expected.bound), lseBound: known(expected.lseBound) }
  expectAttention(await takeAttention(backend, asked), asked, { ...expected, ...bounds }, token)
}
