import { describe, expect, it } from 'vitest'
import { drawTokens, randomProblem } from '@qkv/testing'
import {
  and,
  capture,
  causal,
  maskMod,
  problem,
  reference,
  scalar,
  slidingWindow,
  tensor,
  zeros,
  type HostTensor,
  type ProblemOptions,
  type Tensor,
} from '@qkv/core'
import { blockMap, drawBlockMap, printBlockMap, problemBlockMap, sparsity, type BlockMap } from '@qkv/core/block-map'

const tile = { queries: 4, keys: 4 }

function ofProblem(queries: number, keys: number, options: ProblemOptions, batch = 1, heads = 1): BlockMap {
  return problemBlockMap(
    problem(zeros([batch, heads, queries, 1]), zeros([batch, heads, keys, 1]), zeros([batch, heads, keys, 1]), options),
    tile,
  )
}

const picture = (map: BlockMap): string => printBlockMap(map).split('\n').slice(1).join('\n')
const onDevice = (view: HostTensor): Tensor => ({
  ...view,
  storage: { owner: Symbol('device'), byteLength: view.storage.byteLength },
})

describe('a block map', () => {
  it('draws itself: full, partial and empty tiles', () => {
    expect(String(blockMap(slidingWindow(6), { queries: 16, keys: 16, tile }))).toBe(
      ['4 × 4 tiles of 4 × 4: 0 full, 9 partial, 7 empty in all; expected speed-up 1.78×', '▒···', '▒▒··', '▒▒▒·', '·▒▒▒'].join(
        '\n',
      ),
    )
    expect(picture(blockMap(causal(), { queries: 16, keys: 16, tile }))).toBe('▒···\n█▒··\n██▒·\n███▒')
  })

  it('keeps runs of tiles, ascending, row by row', () => {
    const { runOffsets, runs } = blockMap(causal(), { queries: 12, keys: 12, tile })
    expect([...runOffsets]).toEqual([0, 1, 3, 5])
    expect([...runs]).toEqual([0, 1, 0, 0, 1, 1, 1, 2, 0, 0, 2, 1, 2, 3, 0])
  })

  it('is the same whether a mask is an option or an expression', () => {
    for (const [queries, keys] of [
      [16, 16],
      [5, 23],
      [23, 5],
      [1, 40],
      [40, 1],
      [0, 8],
      [8, 0],
    ] as const) {
      const pairs: readonly (readonly [ProblemOptions, ProblemOptions])[] = [
        [{ causal: true }, { mask: causal() }],
        [{ causal: 'upper-left' }, { mask: causal('upper-left') }],
        [{ causal: true, window: { left: 6 } }, { mask: slidingWindow(7) }],
        [{ window: { left: 3, right: 5 } }, { mask: maskMod(({ query, key }) => query.sub(key).le(3).and(key.sub(query).le(5))) }],
      ]
      for (const [option, mask] of pairs) {
        expect(printBlockMap(ofProblem(queries, keys, option))).toBe(printBlockMap(ofProblem(queries, keys, mask)))
      }
    }
  })

  it('takes mask tensors as they are broadcast', () => {
    const padding = tensor([true, true, true, true, true, false, false, false], [1, 1, 1, 8])
    expect(picture(ofProblem(8, 8, { mask: padding }))).toBe('█▒\n█▒')
    const square = tensor(
      Array.from({ length: 64 }, (_, pair) => pair % 8 < 4 === pair < 32),
      [8, 8],
    )
    expect(picture(ofProblem(8, 8, { mask: square }))).toBe('█·\n·█')
    expect(picture(ofProblem(8, 8, { mask: square, causal: true }))).toBe('▒·\n·▒')
  })

  it('has a plane for each that sees other keys, and one for all that see the same', () => {
    const byHead = maskMod(({ head, key }) => key.lt(head.add(1).mul(4)))
    const map = blockMap(byHead, { queries: 4, keys: 12, tile, batch: 2, heads: 3 })
    expect(map.planes).toBe(3)
    expect([map.planeOf(0, 2), map.planeOf(1, 2), map.planeOf(1, 0)]).toEqual([2, 2, 0])
    const byLength = ofProblem(4, 12, { lengths: [12, 5, 12] }, 3, 2)
    expect(byLength.planes).toBe(2)
    expect([0, 1, 2].map((batch) => byLength.planeOf(batch, 1))).toEqual([0, 1, 0])
    expect(sparsity(byLength)).toMatchObject({ full: 2 * (3 + 1 + 3), partial: 2, empty: 2 })
    expect(blockMap(causal(), { queries: 4, keys: 4, tile, batch: 8, heads: 32 }).planes).toBe(1)
    expect(blockMap(causal(), { queries: 4, keys: 4, tile, batch: 0 }).planes).toBe(0)
  })

  it('calls partial what depends on what a backend holds, but not more', () => {
    const lengths = onDevice(tensor(new Int32Array(1), [1]))
    expect(picture(ofProblem(8, 8, { lengths }))).toBe('▒▒\n▒▒')
    expect(picture(ofProblem(8, 8, { lengths, causal: 'upper-left' }))).toBe('▒·\n▒▒')
    expect(picture(ofProblem(8, 8, { mask: onDevice(zeros([8, 8], 'bool')), causal: true }))).toBe('▒·\n▒▒')
  })

  it('reads captured tensors and scalars as they are now', () => {
    const shown = tensor(new Uint8Array([1, 1, 1, 1, 0, 0, 0, 0]), [8], { dtype: 'bool' })
    const least = scalar('least', 0, 'int')
    const table = capture(shown, 'bool')
    const mask = maskMod(({ key }) => table.at(key.clamp(0, 7)).and(key.ge(least)))
    const draw = (): string => picture(blockMap(mask, { queries: 4, keys: 8, tile }))
    expect(draw()).toBe('█·')
    shown.storage.fill(1)
    expect(draw()).toBe('██')
    least.value = 6
    expect(draw()).toBe('·▒')
  })

  it('calls partial what depends on rounding, or on whether tiny numbers count as 0', () => {
    const draw = (values: number[]): string => {
      const table = capture(tensor(values, [4]))
      return picture(
        blockMap(
          maskMod(({ key }) => table.at(key).gt(0)),
          { queries: 4, keys: 4, tile },
        ),
      )
    }
    expect([draw([1, 2, 3, 4]), draw([-1, -2, 0, -4]), draw([1, 1e-40, 1, 1])]).toEqual(['█', '·', '▒'])
    const third = maskMod(({ key }) => key.toFloat().add(1).div(3).mul(3).ge(key.add(1)))
    expect(picture(blockMap(third, { queries: 4, keys: 4, tile }))).toBe('▒')
  })

  it('knows what it saves', () => {
    expect(sparsity(blockMap(causal(), { queries: 16, keys: 16, tile }))).toEqual({
      full: 6,
      partial: 4,
      empty: 6,
      sparsity: 6 / 16,
      speedup: 1.6,
    })
    expect(
      sparsity(
        blockMap(
          maskMod(() => false),
          { queries: 4, keys: 4, tile },
        ),
      ),
    ).toMatchObject({ empty: 1, speedup: Infinity })
    expect(sparsity(blockMap(causal(), { queries: 0, keys: 4, tile }))).toMatchObject({ sparsity: 0, speedup: 1 })
  })

  it('of large sizes draws squares of tiles, and any size as SVG', () => {
    const large = blockMap(causal(), { queries: 2048, keys: 2048, tile })
    expect(picture(large).split('\n')).toHaveLength(64)
    expect(picture(large)).toMatch(/^▒·{63}\n█▒·{62}\n/)
    const svg = drawBlockMap(blockMap(causal(), { queries: 8, keys: 8, tile }), { width: 100 })
    expect(svg).toContain('viewBox="0 0 2 2" width="100" height="100"')
    expect(svg).toContain('<path fill="#2457d6" d="M0 1h1v1h-1z"/><path fill="#9db8f5" d="M0 0h1v1h-1zM1 1h1v1h-1z"/>')
  })

  it('agrees with the reference’s weights in random problems', () => {
    const limits = { work: 2 ** 11, without: ['bias', 'score', 'sinks'] } as const
    for (const token of drawTokens({ count: 250, seed: 21, limits })) {
      const { problem: asked } = randomProblem(token)
      const size = { queries: 1 + (asked.queryLength % 5), keys: 1 + (asked.keyLength % 7) }
      const map = problemBlockMap(asked, size)
      const zero = {
        ...asked,
        query: zeros([...asked.query.shape]),
        key: zeros([...asked.key.shape]),
        value: zeros([...asked.value.shape]),
        softcap: 0,
      }
      const { weights } = reference(zero, { weights: true })
      const state = (b: number, h: number, t: number, s: number): number => {
        const row = map.planeOf(b, h) * map.queryTiles + t
        for (let run = map.runOffsets[row]!; run < map.runOffsets[row + 1]!; run++) {
          if (s >= map.runs[3 * run]! && s < map.runs[3 * run + 1]!) return map.runs[3 * run + 2]!
        }
        return -1
      }
      weights?.forEach((weight, index) => {
        const key = index % asked.keyLength
        const row = Math.floor(index / asked.keyLength) % asked.queryLength
        const head = Math.floor(index / (asked.keyLength * asked.queryLength)) % asked.queryHeads
        const batch = Math.floor(index / (asked.keyLength * asked.queryLength * asked.queryHeads))
        const found = state(batch, head, Math.floor(row / size.queries), Math.floor(key / size.keys))
        if (weight > 0 ? found === -1 : found === 1)
          throw new Error(`a ${weight > 0 ? 'visible' : 'hidden'} pair lies in a tile of state ${found}: ${token}`)
      })
    }
  })
})

describe('131,072 × 131,072 pairs', () => {
  const sizes = { queries: 131_072, keys: 131_072, tile: { queries: 64, keys: 64 } }

  it('causal and a window leave two partial tiles a row, a diagonal each', () => {
    const map = blockMap(and(causal(), slidingWindow(512)), sizes)
    expect(sparsity(map).partial).toBe(2048 + 2048 - 8)
  })

  it.each([
    [
      'a mask that reads beyond a tensor',
      () =>
        blockMap(
          maskMod(({ key }) =>
            capture(zeros([4]))
              .at(key)
              .gt(0),
          ),
          sizes,
        ),
      'EXPRESSION_REJECTED',
      /blockMap: mask's index 0 .*received 0 to 131071/,
    ],
    [
      'a tile of no keys',
      () => blockMap(causal(), { ...sizes, tile: { queries: 4, keys: 0 } }),
      'OPTION_INVALID',
      /tile.keys must be a whole number ≥ 1; received 0/,
    ],
    [
      'a negative length',
      () => blockMap(causal(), { ...sizes, queries: -1 }),
      'OPTION_INVALID',
      /queries must be a whole number ≥ 0; received -1/,
    ],
    [
      'a drawing of a plane that is none',
      () => drawBlockMap(blockMap(causal(), { queries: 4, keys: 4, tile }), { plane: 1 }),
      'OPTION_INVALID',
      /drawBlockMap: plane must be one of the map's 1, counted from 0; received 1/,
    ],
    ['fractional heads', () => blockMap(causal(), { ...sizes, heads: 1.5 }), 'OPTION_INVALID', /heads/],
    [
      'more tokens than indices can be proven for',
      () => blockMap(causal(), { queries: 2 ** 27, keys: 4, tile: { queries: 2 ** 26, keys: 4 } }),
      'LIMIT_EXCEEDED',
      /fewer than 67108864/,
    ],
  ])('refuses %s', (_, attempt, code, message) => {
    expect(attempt).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })
})
