import { describe, expect, it } from 'vitest'
import { drawLeaves, drawTruth, random, type ExpressionLeaves, type Random } from '@qkv/testing'
import {
  QkvError,
  maskMod,
  type Alignment,
  type BoolExpression,
  type ExpressionNode,
  type MaskMod,
  type TokenPair,
} from '@qkv/core'
import { blockMap, type BlockMap } from '@qkv/core/block-map'
import { compileExpression, foldExpression, type CompiledExpression } from '@qkv/core/expression'

interface Shape {
  readonly queries: number
  readonly keys: number
  readonly tile: { readonly queries: number; readonly keys: number }
  readonly alignment: Alignment
}

function drawShape(stream: Random): Shape {
  const length = (): number => stream.pick([1, 2, 3, 5, 7, 8, 11])
  return {
    queries: length(),
    keys: length(),
    tile: { queries: stream.pick([1, 2, 3, 4, 6]), keys: stream.pick([1, 2, 3, 4, 6]) },
    alignment: stream.chance(0.7) ? 'lower-right' : 'upper-left',
  }
}

/** `queryTiles · keyTiles` of 'full', 'partial' and undefined; throws where runs overlap or are out of order. */
function tilesOf(map: BlockMap, plane: number): (string | undefined)[] {
  const tiles = new Array<string | undefined>(map.queryTiles * map.keyTiles)
  for (let row = 0; row < map.queryTiles; row++) {
    let last = 0
    const end = map.runOffsets[plane * map.queryTiles + row + 1]!
    for (let run = map.runOffsets[plane * map.queryTiles + row]!; run < end; run++) {
      const [first, stop, full] = map.runs.subarray(3 * run, 3 * run + 3) as unknown as [number, number, number]
      if (first < last || stop <= first || stop > map.keyTiles) throw new Error('runs out of order')
      tiles.fill(full === 1 ? 'full' : 'partial', row * map.keyTiles + first, row * map.keyTiles + stop)
      last = stop
    }
  }
  return tiles
}

type Evaluate = (query: number, key: number, row: number) => number

/** What the tiles really are, pair by pair. */
function bruteForce({ queries, keys, tile, alignment }: Shape, evaluate: Evaluate): (string | undefined)[] {
  const position = alignment === 'upper-left' ? 0 : keys - queries
  const keyTiles = Math.ceil(keys / tile.keys)
  const tiles: (string | undefined)[] = []
  for (let t = 0; t < Math.ceil(queries / tile.queries); t++) {
    for (let s = 0; s < keyTiles; s++) {
      let seen = 0
      let pairs = 0
      for (let row = t * tile.queries; row < Math.min(queries, (t + 1) * tile.queries); row++) {
        for (let key = s * tile.keys; key < Math.min(keys, (s + 1) * tile.keys); key++, pairs++)
          seen += evaluate(position + row, key, row)
      }
      tiles.push(seen === 0 ? undefined : seen === pairs ? 'full' : 'partial')
    }
  }
  return tiles
}

/** As a kernel evaluates it, every float operation rounded to float32. */
function inFloat32(root: ExpressionNode): CompiledExpression {
  return (batch, head, query, key, row, score) => {
    return foldExpression<number>(root, {
      constant: (node) => Number(node.value),
      index: ({ name }) => ({ batch, head, query, key, row })[name],
      score: () => score,
      scalar: (node) => evaluate(node),
      capture: (node, indices) => evaluate({ ...node, indices: indices.map(whole) }),
      unary: (node, operand) => evaluate({ ...node, operand: leaf(node.operand.type, operand) }),
      binary: (node, left, right) => evaluate({ ...node, left: leaf(node.left.type, left), right: leaf(node.right.type, right) }),
      select: (_, condition, then, otherwise) => (condition === 1 ? then : otherwise),
    })
  }
  function evaluate(node: ExpressionNode): number {
    const value = compileExpression(node)(0, 0, 0, 0, 0, 0)
    return node.type === 'float' ? Math.fround(value) : value
  }
  function whole(value: number): ExpressionNode {
    return leaf('int', value)
  }
  function leaf(type: ExpressionNode['type'], value: number): ExpressionNode {
    return { kind: 'constant', type, value }
  }
}

function drawMask(stream: Random, leaves: ExpressionLeaves, depth: number): MaskMod | undefined {
  try {
    return maskMod((pair) => drawTruth(stream, pair, leaves, depth))
  } catch (error) {
    // A divisor that folds to the constant 0 is refused.
    if (QkvError.is(error) && error.code === 'EXPRESSION_REJECTED') return undefined
    throw error
  }
}

function unsound(seed: number, shape: Shape, map: BlockMap, at: number, exact = 'empty', found = 'empty'): Error {
  return new Error(`seed ${seed}: tile ${at}, of ${map.keyTiles} a row, is ${exact}, not ${found}, in ${JSON.stringify(shape)}`)
}

describe('a block map of any expression', () => {
  const expressions = 25_000
  const shapes = 4

  it(`calls no tile full or empty that is not, over ${expressions * shapes} random expressions and shapes`, () => {
    let decided = 0
    let missed = 0
    let leaves = drawLeaves(random(0, 'leaves'))
    for (let index = 0, tested = 0; tested < expressions; index++) {
      const stream = random(index, 'soundness')
      if (index % 100 === 0) leaves = drawLeaves(stream)
      const mask = drawMask(stream, leaves, stream.integer(1, 5))
      if (mask === undefined) continue
      tested++
      const evaluate = compileExpression(mask.node)
      for (let each = 0; each < shapes; each++) {
        const shape = drawShape(stream)
        const map = blockMap(mask, { ...shape, heads: 2 })
        const head = each % 2
        const found = tilesOf(map, map.planeOf(0, head))
        const exact = bruteForce(shape, (query, key, row) => evaluate(0, head, query, key, row, NaN))
        exact.forEach((tile, at) => {
          if (found[at] !== 'partial' && found[at] !== tile) throw unsound(index, shape, map, at, tile, found[at])
          if (tile === 'partial') return
          decided++
          if (found[at] === 'partial') missed++
        })
      }
    }
    // Random expressions divide by what may be 0 and take logarithms of it: of some pairs nothing can be proven.
    expect(missed / decided).toBeLessThan(0.1)
  }, 300_000)

  it.each<[string, (pair: TokenPair) => BoolExpression]>([
    ['absolute values of both signs', ({ query }) => query.mul(4).sub(5).abs().eq(3)],
    [
      'sums that wrap around',
      ({ query, key }) =>
        query
          .add(2 ** 31 - 4)
          .sub(key)
          .lt(0),
    ],
    ['comparisons of what wrapped around', ({ query, key }) => query.mul(2 ** 30).lt(key)],
    ['differences beyond 32 bits', ({ query, key }) => query.sub(2 ** 31 - 2).lt(key.add(2 ** 31 - 9))],
    ['remainders of negative divisors', ({ query, key }) => query.mul(2).sub(key).mod(-4).eq(-2)],
    ['remainders in steps', ({ query, key }) => query.mul(6).add(key.mul(4)).mod(8).eq(6)],
    ['divisors of both signs', ({ query, key }) => query.floorDiv(key.sub(3)).ge(0)],
  ])('is sound for %s', (_, build) => {
    const mask = maskMod(build)
    const evaluate = compileExpression(mask.node)
    for (let seed = 0; seed < 60; seed++) {
      const shape = drawShape(random(seed, 'special'))
      const map = blockMap(mask, shape)
      const found = tilesOf(map, 0)
      bruteForce(shape, (query, key, row) => evaluate(0, 0, query, key, row, NaN)).forEach((tile, at) => {
        if (found[at] !== 'partial' && found[at] !== tile) throw unsound(seed, shape, map, at, tile, found[at])
      })
    }
  })

  it('holds for float32 kernels, too, whose comparisons of floats may come out otherwise', () => {
    const leaves = drawLeaves(random(0, 'leaves'))
    for (let index = 0; index < 1000; index++) {
      const stream = random(index, 'float32')
      const mask = drawMask(stream, leaves, 4)
      if (mask === undefined) continue
      const shape = { ...drawShape(stream), queries: 4, keys: 4 }
      const map = blockMap(mask, shape)
      const evaluate = inFloat32(mask.node)
      const found = tilesOf(map, 0)
      bruteForce(shape, (query, key, row) => evaluate(0, 0, query, key, row, NaN)).forEach((tile, at) => {
        if (found[at] !== 'partial' && found[at] !== tile) throw unsound(index, shape, map, at, tile, found[at])
      })
    }
  })
})
