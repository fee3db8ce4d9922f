import { describe, expect, it } from 'vitest'
import {
  QkvError,
  and,
  capture,
  composeScores,
  float,
  maskMod,
  not,
  or,
  scalar,
  scoreMod,
  select,
  tensor,
  type ExpressionNode,
  type MaskMod,
} from '@qkv/core'
import { compileExpression, nodesOf, printExpression } from '@qkv/core/expression'

const slope = capture(tensor([0.5, 0.25], [2]))
const ids = capture(tensor(new Int32Array([0, 0, 1]), [3]), 'int')

/** The message with which building is refused. */
function refusal(build: () => unknown): string {
  try {
    build()
  } catch (error) {
    if (QkvError.is(error) && error.code === 'EXPRESSION_REJECTED') return error.message
    throw error
  }
  return 'built'
}

describe('expressions are built by ordinary method calls', () => {
  it('a mask is a bool of token indices', () => {
    const mask = maskMod(({ query, key }) => query.sub(key).le(1024).and(key.le(query)))
    const visible = compileExpression(mask.node)
    expect(visible(0, 0, 2000, 976, 0, 0)).toBe(1)
    expect(visible(0, 0, 2000, 975, 0, 0)).toBe(0)
    expect(visible(0, 0, 2000, 2001, 0, 0)).toBe(0)
  })

  it('a score change reads captured slopes, and an int operand meets a float as a float', () => {
    const alibi = scoreMod((score, { head, query, key }) => score.add(slope.at(head).mul(key.sub(query))))
    expect(compileExpression(alibi.node)(0, 1, 10, 4, 10, 2)).toBe(2 + 0.25 * -6)
  })

  it('a captured scalar changes without building again', () => {
    const reach = scalar('reach', 2, 'int')
    const visible = compileExpression(maskMod(({ query, key }) => query.sub(key).le(reach)).node)
    expect(visible(0, 0, 5, 2, 5, 0)).toBe(0)
    reach.value = 3
    expect(visible(0, 0, 5, 2, 5, 0)).toBe(1)
    expect(refusal(() => (reach.value = 0.5))).toMatch(/scalar 'reach' must be a whole number/)
  })

  it('captured tensors are read at each call, through any strides', () => {
    const table = new Int32Array([1, 2, 3, 4, 5, 6])
    const transposed = capture(tensor(table, [2, 3], { strides: [1, 2] }), 'int')
    const mask = compileExpression(maskMod(({ query, key }) => transposed.at(query, key).ge(10)).node)
    expect(mask(0, 0, 1, 2, 0, 0)).toBe(0)
    table[5] = 10
    expect(mask(0, 0, 1, 2, 0, 0)).toBe(1)
  })

  it('score changes compose in order', () => {
    const double = scoreMod((score) => score.mul(2))
    const increment = scoreMod((score) => score.add(1))
    expect(compileExpression(composeScores(double, increment).node)(0, 0, 0, 0, 0, 5)).toBe(11)
    expect(compileExpression(composeScores(increment, double).node)(0, 0, 0, 0, 0, 5)).toBe(12)
  })

  it('masks combine by and, or, not', () => {
    const causal = maskMod(({ query, key }) => key.le(query))
    const sink = maskMod(({ key }) => key.lt(1))
    expect(printExpression(and(causal, not(sink)).node)).toBe('key ≤ query ∧ ¬(key < 1)')
    expect(printExpression(or(causal, sink).node)).toBe('key ≤ query ∨ key < 1')
    expect(printExpression(and().node)).toBe('true')
    expect(printExpression(or().node)).toBe('false')
  })
})

describe('equal subterms are one object', () => {
  const shared = (mask: MaskMod): readonly ExpressionNode[] => nodesOf(mask.node)

  it('whoever wrote them', () => {
    const mask = maskMod(({ query, key }) =>
      query
        .sub(key)
        .lt(5)
        .or(query.sub(key).gt(9), key.add(1).eq(query.add(1))),
    )
    expect(shared(mask).filter((node) => node.kind === 'binary' && node.operator === 'subtract')).toHaveLength(1)
    expect(shared(mask).filter((node) => node.kind === 'constant' && node.value === 1)).toHaveLength(1)
  })

  it('across combined masks, and whatever the order of commuting operands', () => {
    const one = maskMod(({ query, key }) => query.add(key).lt(5))
    const other = maskMod(({ query, key }) => key.add(query).lt(5))
    expect(and(one, other).node).toEqual(one.node)
  })

  it('and are computed once', () => {
    const mask = maskMod(({ query }) => {
      let x = query
      for (let level = 0; level < 29; level++) x = x.add(x)
      return x.eq(0)
    })
    expect(compileExpression(mask.node)(0, 0, 8, 0, 0, 0)).toBe(1)
    expect(compileExpression(mask.node)(0, 0, 7, 0, 0, 0)).toBe(0)
  })
})

describe('what is wrong is refused when the expression is built, by name', () => {
  it.each([
    // @ts-expect-error a float is no mask
    ['a float as a mask', () => maskMod(() => float(1)), /the result of maskMod must be a bool; received float/],
    // @ts-expect-error an int is no mask
    ['an int as a mask', () => maskMod(({ key }) => key), /the result of maskMod must be a bool; received int/],
    [
      'a bool as a score',
      // @ts-expect-error a bool is no score
      () => scoreMod((score) => score.lt(0)),
      /the result of scoreMod must be a float or an int; received bool/,
    ],
    [
      'a float among ints',
      // @ts-expect-error an int's method takes ints
      () => maskMod(({ head, key }) => key.lt(slope.at(head))),
      /operand of lt\(\) must be an int; received float/,
    ],
    [
      'a fraction among ints',
      () => maskMod(({ key }) => key.lt(0.5)),
      /operand of lt\(\) must be a whole number of 32 bits; received 0.5/,
    ],
    ['what is not finite', () => scoreMod((score) => score.add(-Infinity)), /must be a finite float32; received -Infinity/],
    ['an index out of bounds', () => maskMod(() => ids.at(3).eq(0)), /at\(\) index 0 must be from 0 to 2.*received 3/],
    ['wrong arity', () => maskMod(({ key }) => ids.at(key, key).eq(0)), /at\(\) must be given one index.*received 2/],
    ['a zero divisor', () => maskMod(({ key }) => key.mod(0).eq(0)), /divisor must be other than 0/],
    [
      'a tensor of another type',
      () => capture(tensor(new Int32Array(2), [2])),
      /must be of a float dtype; received int32 \(capture\(tensor, 'int'\)/,
    ],
    [
      'a foreign object',
      // @ts-expect-error not an expression
      () => maskMod(({ key }) => key.lt({ valueOf: () => 3 })),
      /operand of lt\(\) must be an int; received an object/,
    ],
    ['a foreign node', () => and({ kind: 'mask', node: { kind: 'wgsl', type: 'bool' } as never }), /received a foreign object/],
    [
      'a foreign operator',
      () =>
        and({
          kind: 'mask',
          node: { kind: 'unary', operator: 'x;y', operand: { kind: 'constant', type: 'bool', value: true }, type: 'bool' } as never,
        }),
      /'x;y'/,
    ],
    ['a score in a mask', () => and({ kind: 'mask', node: scoreMod((score) => score).node as never }), /must be a bool/],
  ])('%s', (_, build, message) => {
    expect(refusal(build)).toMatch(message)
  })

  it('more than 32 levels', () => {
    const chain = (levels: number) => () =>
      maskMod(({ query, key }) => {
        let x = query
        for (let level = 2; level < levels; level++) x = x.add(key)
        return x.eq(0)
      })
    expect(refusal(chain(32))).toBe('built')
    expect(refusal(chain(33))).toMatch(/at most 32 levels deep; received 33/)
    expect(refusal(chain(5000))).toMatch(/levels deep/)
  })

  it('more than 256 nodes', () => {
    const wide = (terms: number) => () =>
      maskMod(({ key }) => {
        const leaves = Array.from({ length: terms }, (_, index) => key.eq(index))
        while (leaves.length > 1) leaves.push(leaves.shift()!.or(leaves.shift()!))
        return leaves[0]!
      })
    expect(refusal(wide(85))).toBe('built')
    expect(refusal(wide(86))).toMatch(/of at most 256 nodes; received 258/)
  })
})

describe('bools, ints and floats are apart at compile time', () => {
  it('so that a mixed expression does not compile', () => {
    scoreMod((score, { key, query }) => {
      // @ts-expect-error ints have no true division
      expect(() => key.div(2)).toThrow()
      // @ts-expect-error a bool has no arithmetic
      expect(() => key.lt(query).add(1)).toThrow()
      // @ts-expect-error branches of one type
      expect(() => select(key.lt(query), key.lt(query), 1)).toThrow()
      // @ts-expect-error an index is an int
      expect(() => slope.at(score)).toThrow()
      const chosen = select(key.lt(query), 0.5, score)
      return chosen.add(select(key.eq(0), 1, 2))
    })
  })
})
