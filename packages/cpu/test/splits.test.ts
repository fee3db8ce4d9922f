import { reference, type Backend } from '@qkv/core'
import { drawTokens, parseToken, printToken, randomProblem, tally, type Limits } from '@qkv/testing'
import { expectAttention, problemCount, takeAttention } from '@qkv/testing/suites/suite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backendOf } from '../src/backend.ts'
import { splitKeys } from '../src/wasm/attention.ts'
import { openWasmEngine } from '../src/wasm/open.ts'

/** Few queries over many keys: the keys are split among threads, and what splits leave is merged. */
describe('decoding over keys that are split', { timeout: 600_000 }, () => {
  let backends: readonly Backend[]
  beforeAll(async () => {
    const engines = [1, 2].map((threads) => openWasmEngine({ threads, instructions: 'relaxed SIMD', worthSharing: 0 }))
    backends = (await Promise.all(engines)).map((engine) => backendOf(engine))
  })
  afterAll(() => backends.forEach((backend) => backend.dispose()))

  /** Small, before they get as many keys more as make a split. */
  const limits: Limits = { batch: 1, heads: 4, queryLength: 2, keyLength: 40, headDim: 8, work: 2 ** 9, including: ['quantised'] }

  const tokens = drawTokens({ count: problemCount({}, 2000), seed: 9, limits }).map((token) => {
    const spec = parseToken(token)
    return printToken({ ...spec, keyLength: spec.keyLength + splitKeys + 1 })
  })

  test('is within its bound, and the same bits on two threads', async () => {
    const results = tally('over split keys')
    for (const token of tokens) {
      const { problem } = randomProblem(token)
      const actual = await takeAttention(backends[0]!, problem)
      results.add(expectAttention(actual, problem, reference(problem), token), token)
      expect(await takeAttention(backends[1]!, problem), token).toEqual(actual)
    }
    console.log(results.summary())
    results.expectTrusted()
  })
})
