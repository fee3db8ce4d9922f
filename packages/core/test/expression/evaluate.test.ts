import { describe, expect, it } from 'vitest'
import {
  capture,
  float,
  int,
  maskMod,
  scalar,
  scoreMod,
  select,
  tensor,
  type BoolExpression,
  type FloatExpression,
  type IntExpression,
  type TokenPair,
} from '@qkv/core'
import { compileExpression, printExpression } from '@qkv/core/expression'

/** An int expression's value, where query is 7, key −3, head 2, batch 1 and row 5. */
function whole(build: (pair: TokenPair) => IntExpression): number {
  let node: IntExpression['node'] | undefined
  maskMod((pair) => {
    node = build(pair).node
    return true
  })
  return node ? compileExpression(node)(1, 2, 7, -3, 5, 0) : NaN
}

function real(build: (score: FloatExpression, pair: TokenPair) => FloatExpression, score = 0.5): number {
  return compileExpression(scoreMod(build).node)(1, 2, 7, -3, 5, score)
}

function truth(build: (pair: TokenPair) => BoolExpression): number {
  return compileExpression(maskMod(build).node)(1, 2, 7, -3, 5, 0)
}

describe('whole numbers', () => {
  it('divide and leave remainders toward −∞', () => {
    expect(whole(({ key }) => key.floorDiv(2))).toBe(-2)
    expect(whole(({ key }) => key.mod(2))).toBe(1)
    expect(whole(({ query }) => query.floorDiv(-2))).toBe(-4)
    expect(whole(({ query }) => query.mod(-2))).toBe(-1)
    expect(whole(({ key, query }) => key.floorDiv(query).mul(query).add(key.mod(query)))).toBe(-3)
  })

  it('wrap around at 32 bits', () => {
    expect(whole(({ head }) => head.add(2 ** 31 - 1))).toBe(-(2 ** 31) + 1)
    expect(whole(({ head }) => head.mul(2 ** 30))).toBe(-(2 ** 31))
    expect(whole(() => int(-(2 ** 31)).neg())).toBe(-(2 ** 31))
    expect(
      whole(({ head }) =>
        head
          .sub(head)
          .sub(2 ** 31 - 1)
          .sub(2)
          .abs(),
      ),
    ).toBe(2 ** 31 - 1)
  })

  it('come from floats by their floor, within 32 bits', () => {
    expect(whole(({ key }) => key.toFloat().mul(0.5).toInt())).toBe(-2)
    expect(whole(() => float(1e20).toInt())).toBe(2 ** 31 - 1)
  })

  it('compare, clamp and choose', () => {
    expect(whole(({ query, key, row }) => query.clamp(key, row))).toBe(5)
    expect(whole(({ query, key }) => select(query.lt(key), 1, 2))).toBe(2)
    expect([
      truth(({ query, row }) => query.gt(row)),
      truth(({ query }) => query.ne(7)),
      truth(({ batch }) => batch.ge(1).and(batch.le(1))),
    ]).toEqual([1, 0, 1])
  })
})

describe('floats', () => {
  it('are as in mathematics', () => {
    expect(real((score) => score.exp())).toBe(Math.exp(0.5))
    expect(real((score) => score.log())).toBe(Math.log(0.5))
    expect(real((score) => score.tanh())).toBe(Math.tanh(0.5))
    expect(real((score) => score.sub(2).floor())).toBe(-2)
    expect(real((score) => score.sub(2).floorDiv(0.5))).toBe(-3)
    expect(real((score) => score.neg().mod(2))).toBe(1.5)
    expect(real((score) => score.neg().abs().max(0.25).min(4))).toBe(0.5)
  })

  it('have float32 constants and scalars', () => {
    expect(real((score) => score.add(0.1))).toBe(0.5 + Math.fround(0.1))
    expect(real((score) => score.mul(scalar('tenth', 0.1)))).toBe(0.5 * Math.fround(0.1))
  })
})

describe('captured tensors', () => {
  it('of every dtype are read through their strides', () => {
    const half = capture(tensor(new Uint16Array([0x3c00, 0x4000, 0x4200]), [3], { dtype: 'float16', strides: [-1], offset: 2 }))
    expect(real((_, { head }) => half.at(head))).toBe(1)
    const cube = capture(
      tensor(
        Int8Array.from({ length: 24 }, (_, index) => index),
        [2, 3, 4],
      ),
      'int',
    )
    expect(whole(({ batch, head }) => cube.at(batch, head, 3))).toBe(12 + 8 + 3)
  })
})

describe('printing', () => {
  const table = capture(tensor([1, 2], [2]))

  it.each([
    [({ query, key }: TokenPair) => key.le(query).and(query.sub(key).lt(512)), 'key ≤ query ∧ query − key < 512'],
    [({ query, key }: TokenPair) => query.floorDiv(64).eq(key.floorDiv(64)), '⌊query / 64⌋ = ⌊key / 64⌋'],
    [({ query, key }: TokenPair) => query.sub(key.sub(1)).mod(4).ne(0), '(query − (key − 1)) mod 4 ≠ 0'],
    [({ query, key }: TokenPair) => query.lt(key).or(query.gt(9)).not(), '¬(query < key ∨ query > 9)'],
    [({ head, key }: TokenPair) => table.at(head).lt(key.neg().toFloat().mul(0.1)), 't₀[head] < (−key) · 0.1'],
    [({ key }: TokenPair) => select(key.lt(0), key.abs(), key.min(3)).eq(-1), '(key < 0 ? |key| : min(key, 3)) = −1'],
  ])('is readable mathematics: %#', (build, printed) => {
    expect(printExpression(maskMod(build).node)).toBe(printed)
  })

  it('says what an expression says, and no more: names stay names', () => {
    const hostile = scalar('); while (true) {} //', 1)
    expect(String(hostile.add(1))).toBe('); while (true) {} // + 1')
    expect(real((score) => score.add(hostile))).toBe(1.5)
  })
})
