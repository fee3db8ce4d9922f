import { describe, expect, test } from 'vitest'
import { drawTokens, parseToken, printToken, randomProblem, type Limits } from '@qkv/testing'
import { isHostTensor, toFloat64, type AttentionProblem, type Tensor } from '@qkv/core'

const everything: Limits = { work: 2 ** 12, including: ['quantised', 'dropout', 'random expressions'] }

/** Every number of a problem's tensors. */
function contents({ query, key, value, bias, mask, sinks, lengths, keyScales, valueScales }: AttentionProblem): number[][] {
  const numbers = (view: Tensor | undefined): number[] => (view && isHostTensor(view) ? [...toFloat64(view)] : [])
  return [query, key, value, bias, mask, sinks, lengths, keyScales, valueScales].map(numbers)
}

describe('random problems', () => {
  test('are said in one line each, which says them again', () => {
    for (const token of drawTokens({ count: 500, seed: 1, limits: everything })) expect(printToken(parseToken(token))).toBe(token)
  })

  test('replay from their token, to the last bit', () => {
    for (const token of drawTokens({ count: 60, seed: 2, limits: everything })) {
      expect(contents(randomProblem(token).problem)).toEqual(contents(randomProblem(token).problem))
    }
  })

  test('are the same for the same seed, and others for another', () => {
    const draw = (seed: number): string[] => drawTokens({ count: 20, seed })
    expect(draw(3)).toEqual(draw(3))
    expect(draw(3)).not.toEqual(draw(4))
  })

  test('have what is opt-in on request only, and what is excluded never', () => {
    const all = (limits: Limits): string => drawTokens({ count: 300, seed: 5, limits }).join('\n')
    expect(all({})).not.toMatch(/quantised|dropout|=random/)
    expect(all(everything)).toMatch(/quantised=int8(.|\n)*quantised=uint8/)
    expect(all(everything)).toMatch(/dropout=0(.|\n)*maskMod=random(.|\n)*score=random/)
    expect(all({ without: ['causal', 'sinks', 'layout'] })).not.toMatch(/causal|sinks|padded/)
  })

  test('lie between guards that show what is written outside of them', () => {
    const { problem, expectUntouched } = randomProblem(
      drawTokens({ count: 40, seed: 6, limits: { batch: 1 } }).find((token) => token.includes('|offset|'))!,
    )
    expectUntouched()
    const { storage } = problem.query
    if (ArrayBuffer.isView(storage)) storage[0] = 1
    expect(expectUntouched).toThrow(/the memory of query was written to, element 0/)
  })
})
