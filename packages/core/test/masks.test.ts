import { describe, expect, it } from 'vitest'
import {
  and,
  causal,
  chunked,
  composeScores,
  dilated,
  distanceDecay,
  documents,
  draftTree,
  linearBias,
  neighbourhood,
  not,
  or,
  prefix,
  relativeBias,
  sinkTokens,
  slidingWindow,
  softcap,
  tensor,
  zeros,
  type MaskMod,
  type ScoreMod,
} from '@qkv/core'
import { compileExpression, printExpression } from '@qkv/core/expression'

describe('masks and score changes read as the mathematics they are', () => {
  it.each<[MaskMod | ScoreMod, string]>([
    [causal(), 'key ≤ query'],
    [causal('upper-left'), 'key ≤ row'],
    [slidingWindow(512), 'key ≤ query ∧ query − key < 512'],
    [chunked(8192), '⌊query / 8192⌋ = ⌊key / 8192⌋'],
    [dilated(4), '(query − key) mod 4 = 0'],
    [or(sinkTokens(4), slidingWindow(64)), 'key < 4 ∧ key ≤ query ∨ key ≤ query ∧ query − key < 64'],
    [or(prefix(100), causal()), 'key < 100 ∨ key ≤ query'],
    [prefix([3, 5]), 'key < t₀[batch]'],
    [documents([0, 0, 1]), 't₀[min(max(query, 0), 2)] = t₀[min(max(key, 0), 2)]'],
    [and(causal(), not(dilated(2))), 'key ≤ query ∧ ¬((query − key) mod 2 = 0)'],
    [softcap(30), 'tanh(score / 30) · 30'],
    [linearBias([0.5, 0.25]), 'score + t₀[head] · (key − query)'],
    [relativeBias(zeros([2, 9])), 'score + t₀[head, min(max(key − query, −4), 4) + 4]'],
    [composeScores(softcap(30), distanceDecay(Math.LN2)), 'tanh(score / 30) · 30 − |query − key|'],
  ])('%#', ({ node }, printed) => {
    expect(printExpression(node)).toBe(printed)
  })
})

describe('documents', () => {
  it('may differ by batch entry, and tokens beyond the list belong to the last', () => {
    const visible = compileExpression(documents(tensor(new Int32Array([0, 0, 1, 0, 1, 1]), [2, 3])).node)
    expect([visible(0, 0, 0, 1, 0, 0), visible(1, 0, 0, 1, 0, 0), visible(1, 0, 2, 40, 2, 0)]).toEqual([1, 0, 1])
  })
})

describe('what makes no mask is refused by name', () => {
  it.each([
    ['half a key', () => slidingWindow(1.5), /operand of lt\(\) must be a whole number of 32 bits; received 1.5/],
    ['no chunk', () => chunked(0), /divisor must be other than 0/],
    ['no step', () => dilated(0), /divisor must be other than 0/],
    ['float documents', () => documents(zeros([4])), /tensor must be of an int dtype; received float32/],
    ['float prefixes', () => prefix(zeros([2])), /tensor must be of an int dtype/],
    ['integer slopes', () => linearBias(zeros([2], 'int32')), /tensor must be of a float dtype/],
    ['a table without a middle', () => relativeBias(zeros([2, 8])), /operand of max\(\) must be a whole number/],
    [
      'an even neighbourhood',
      () => neighbourhood({ height: 8, width: 8 }, 4),
      /neighbourhood: size must be an odd number up to 8; received 4/,
    ],
    ['a neighbourhood larger than the image', () => neighbourhood({ height: 3, width: 8 }, 5), /an odd number up to 3; received 5/],
    [
      'a draft whose child comes first',
      () => draftTree([1, -1]),
      /draftTree: parents\[0\] must be −1, or the number of a token before it; received 1/,
    ],
    ['a cap of nothing', () => softcap(0), /divisor must be other than 0/],
    ['an endless half-life of nothing', () => distanceDecay(0), /operand of mul\(\) must be a finite float32; received Infinity/],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(expect.objectContaining({ code: 'EXPRESSION_REJECTED', message: expect.stringMatching(message) }))
  })
})
