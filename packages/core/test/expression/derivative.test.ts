import { describe, expect, it } from 'vitest'
import { drawLeaves, drawReal, random } from '@qkv/testing'
import { QkvError, capture, scoreMod, select, tensor, type ScoreMod } from '@qkv/core'
import { compileExpression, differentiate, nodesOf, printExpression } from '@qkv/core/expression'

const slope = capture(tensor([0.5, 0.25], [2]))

/** The derivative by the score, printed. */
function byScore(mod: ScoreMod): string {
  return printExpression(differentiate(mod).score)
}

describe('a score expression’s derivative', () => {
  it.each([
    ['a multiple', scoreMod((score) => score.mul(3).add(1)), '3'],
    ['a square', scoreMod((score) => score.mul(score)), 'score + score'],
    ['a quotient', scoreMod((score) => score.div(4)), '0.25'],
    ['exp', scoreMod((score) => score.exp()), 'exp(score)'],
    ['log', scoreMod((score) => score.log()), '1 / score'],
    ['tanh', scoreMod((score) => score.tanh()), '−(tanh(score) · tanh(score)) + 1'],
    ['floor', scoreMod((score) => score.floor()), '0'],
    ['minimum', scoreMod((score) => score.min(2)), 'score ≤ 2 ? 1 : 0'],
    ['what does not depend on it', scoreMod((_, { key }) => key.toFloat()), '0'],
  ])('of %s', (_, mod, printed) => {
    expect(byScore(mod)).toBe(printed)
  })

  it('by each element that is read of a captured tensor', () => {
    const { captures } = differentiate(scoreMod((score, { head, query, key }) => score.add(slope.at(head).mul(key.sub(query)))))
    expect(captures.map(({ derivative }) => printExpression(derivative))).toEqual(['key − query'])
  })

  it('is 0 through the branch of a select that is not taken, whatever that divides by', () => {
    const mod = scoreMod((score, { key }) => select(key.eq(0), 0, score.div(key)))
    const derivative = compileExpression(differentiate(mod).score)
    expect([0, 2].map((key) => derivative(0, 0, 0, key, 0, 5))).toEqual([0, 0.5])
  })

  it('agrees with differences, for random expressions', () => {
    let compared = 0
    for (let index = 0; compared < 300; index++) {
      const stream = random(index, 'derivative')
      const leaves = drawLeaves(stream)
      let mod: ScoreMod
      try {
        mod = scoreMod((score, pair) =>
          drawReal(stream, pair, leaves, 3)
            .mul(score)
            .add(
              score
                .mul(0.5)
                .tanh()
                .mul(drawReal(stream, pair, leaves, 3)),
            )
            .sub(score.min(drawReal(stream, pair, leaves, 2))),
        )
      } catch (error) {
        if (QkvError.is(error)) continue
        throw error
      }
      const [value, derivative] = [compileExpression(mod.node), compileExpression(differentiate(mod).score)]
      const at = (score: number): number => value(0, 1, 3, 2, 3, score)
      const h = 1e-5
      const differences = [at(0.7 + h) - at(0.7), at(0.7) - at(0.7 - h)].map((difference) => difference / h)
      const [after = NaN, before = NaN] = differences
      // Not at a corner, nor where the function is not defined.
      if (!Number.isFinite(after + before) || Math.abs(after - before) > 1e-3 * (1 + Math.abs(after))) continue
      const exact = derivative(0, 1, 3, 2, 3, 0.7)
      expect(Math.abs(exact - (after + before) / 2), printExpression(mod.node)).toBeLessThan(1e-4 * (1 + Math.abs(exact)))
      compared++
    }
  })

  it('of the deepest expressions stays an expression', () => {
    const deep = scoreMod((score) => Array.from({ length: 30 }).reduce<typeof score>((x) => x.mul(x), score))
    expect(nodesOf(differentiate(deep).score).length).toBeLessThan(4096)
  })
})
