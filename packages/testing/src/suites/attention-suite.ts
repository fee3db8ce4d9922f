import { reference } from '@qkv/core'
import { describe, test } from 'vitest'
import { drawTokens, type Limits } from '../draw-token.ts'
import { randomProblem } from '../problems.ts'
import { tally } from '../within-bound.ts'
import { expectAttention, heldBackend, problemCount, replayedToken, takeAttention, type Suite } from './suite.ts'

const everything: Limits = { anyDim: true, including: ['quantised', 'dropout'] }
/** Nobody drops weights when decoding; of few rows, none might be left. */
const cached: Limits = { anyDim: true, including: ['quantised'] }

/** Attention on a backend against the float64 reference, over random problems with every option. */
export function attentionSuite(suite: Suite): void {
  describe('attention', { timeout: 600_000 }, () => {
    const backend = heldBackend(suite)
    const { platform = 'cpu', limits } = suite

    async function checkProblems(name: string, tokens: readonly string[]): Promise<void> {
      const results = tally(name)
      for (const token of tokens) {
        const { problem, expectUntouched } = randomProblem(token)
        const actual = await takeAttention(backend(), problem)
        results.add(expectAttention(actual, problem, reference(problem, { backend: platform }), token, platform), token)
        expectUntouched()
      }
      console.log(results.summary())
      if (tokens.length > 100) results.expectTrusted()
    }

    const replayed = replayedToken('attention|')
    test.runIf(replayed !== undefined)('the problem of QKV_TOKEN is within its bound', () => checkProblems('replayed', [replayed!]))

    test('small problems, at the boundaries of tiles and between, are within their bounds', async () => {
      await checkProblems(
        'small',
        drawTokens({ count: problemCount(suite, 2000), seed: 1, limits: { ...everything, work: 2 ** 13, ...limits } }),
      )
    })

    test('problems of few queries over many keys, as in decoding, are within their bounds', async () => {
      await checkProblems(
        'of few queries',
        drawTokens({
          count: problemCount(suite, 2000),
          seed: 8,
          limits: { ...cached, work: 2 ** 14, ...limits, queryLength: 2 },
        }),
      )
    })

    test('problems of many tiles are within their bounds', async () => {
      await checkProblems(
        'of many tiles',
        drawTokens({ count: problemCount(suite, 60), seed: 2, limits: { ...everything, work: 2 ** 19, ...limits } }),
      )
    })
  })
}
