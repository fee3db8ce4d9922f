import { describe, expect, it } from 'vitest'
import { random } from '@qkv/testing'
import {
  and,
  capture,
  causal,
  chunked,
  dilated,
  distanceDecay,
  documents,
  draftTree,
  linearBias,
  maskMod,
  neighbourhood,
  not,
  or,
  prefix,
  problem,
  reference,
  relativeBias,
  scoreMod,
  sinkTokens,
  slidingWindow,
  softcap,
  tensor,
  type HostTensor,
  type MaskMod,
  type ScoreMod,
} from '@qkv/core'
import { blockMap, type BlockMap } from '@qkv/core/block-map'
import { compileExpression } from '@qkv/core/expression'

/**
 * The examples of PyTorch's FlexAttention and its gallery, attention-gym: each is written in our expressions, and beside
 * it as a plain function of indices, which a plain loop over all pairs applies.
 */
interface Example {
  readonly name: string
  readonly mask?: MaskMod
  readonly sees?: (q: number, k: number, b: number, h: number) => boolean
  readonly score?: ScoreMod
  readonly scored?: (s: number, q: number, k: number, b: number, h: number) => number
  readonly length?: number
}

const batch = 2
const heads = 4
const length = 96
const stream = random(3, 'gallery')
const numbers = (count: number, next: () => number): number[] => Array.from({ length: count }, next)

/** Documents of uneven lengths, in each batch entry others. */
const ids = Int32Array.from(
  numbers(batch, () => 0).flatMap(() => numbers(length, () => stream.integer(0, 5)).sort((a, b) => a - b)),
)
const prefixes = [17, 40]
const slopes = numbers(heads, () => 0).map((_, head) => 2 ** -(head + 1))
const biases = Float32Array.from(numbers(heads * 33, () => stream.normal()))
const isGlobal = numbers(length, () => (stream.chance(0.06) ? 1 : 0))
const blocks = length / 8
const randomBlocks = Uint8Array.from(numbers(blocks * blocks, () => (stream.chance(0.15) ? 1 : 0)))
const parents = [-1, 0, 0, 1, 1, 2, -1, 6]

/** T5's buckets by distance: the first half one each, the rest by the logarithm. A table, so that no rounding moves an edge. */
const bucketOf = Int32Array.from({ length: 129 }, (_, d) =>
  d < 16 ? d : Math.min(31, 16 + Math.floor((Math.log(d / 16) / Math.log(128 / 16)) * 16)),
)
const bucketBias = Float32Array.from(numbers(heads * 32, () => stream.normal()))

const grid = { height: 8, width: 12 }
const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value))

const examples: readonly Example[] = [
  { name: 'full' },
  { name: 'causal', mask: causal(), sees: (q, k) => k <= q },
  { name: 'sliding window', mask: slidingWindow(16), sees: (q, k) => k <= q && q - k < 16 },
  { name: 'prefix language model', mask: or(prefix(24), causal()), sees: (q, k) => k < 24 || k <= q },
  {
    name: 'prefix language model, a prefix for each batch entry',
    mask: or(prefix(prefixes), causal()),
    sees: (q, k, b) => k < prefixes[b]! || k <= q,
  },
  {
    name: 'causal documents',
    mask: and(causal(), documents(tensor(ids, [batch, length]))),
    sees: (q, k, b) => k <= q && ids[b * length + q] === ids[b * length + k],
  },
  {
    name: 'chunked, as in Llama 4',
    mask: and(causal(), chunked(20)),
    sees: (q, k) => k <= q && Math.floor(q / 20) === Math.floor(k / 20),
  },
  { name: 'dilated', mask: and(causal(), dilated(4)), sees: (q, k) => k <= q && (q - k) % 4 === 0 },
  {
    name: 'dilated sliding window',
    mask: and(slidingWindow(33), dilated(2)),
    sees: (q, k) => k <= q && q - k < 33 && (q - k) % 2 === 0,
  },
  {
    name: 'attention sinks and a window, as in StreamingLLM',
    mask: or(sinkTokens(4), slidingWindow(16)),
    sees: (q, k) => k <= q && (k < 4 || q - k < 16),
  },
  {
    name: 'NATTEN: a neighbourhood in two dimensions',
    mask: neighbourhood(grid, 5),
    sees: (q, k) => {
      const near = (q: number, k: number, size: number): boolean => Math.abs(clamp(q, 2, size - 3) - k) <= 2
      return near(Math.floor(q / 12), Math.floor(k / 12), 8) && near(q % 12, k % 12, 12)
    },
  },
  {
    name: 'Longformer: a window and global tokens',
    mask: (() => {
      const global = capture(tensor(isGlobal.map(Boolean), [length]), 'bool')
      return or(
        maskMod(({ query, key }) => query.sub(key).abs().le(8)),
        maskMod(({ query, key }) => global.at(query).or(global.at(key))),
      )
    })(),
    sees: (q, k) => Math.abs(q - k) <= 8 || isGlobal[q] === 1 || isGlobal[k] === 1,
  },
  {
    name: 'BigBird: window, global and random blocks',
    mask: (() => {
      const chosen = capture(tensor(randomBlocks, [blocks, blocks], { dtype: 'bool' }), 'bool')
      return maskMod(({ query, key }) => {
        const [row, column] = [query.floorDiv(8), key.floorDiv(8)]
        return row.sub(column).abs().le(1).or(row.eq(0), column.eq(0), chosen.at(row, column))
      })
    })(),
    sees: (q, k) => {
      const [row, column] = [Math.floor(q / 8), Math.floor(k / 8)]
      return Math.abs(row - column) <= 1 || row === 0 || column === 0 || randomBlocks[row * blocks + column] === 1
    },
  },
  {
    name: 'a mask that differs by head: local heads and dilated ones',
    mask: or(
      and(
        maskMod(({ head }) => head.lt(2)),
        slidingWindow(12),
      ),
      and(
        maskMod(({ head }) => head.ge(2)),
        dilated(8),
        causal(),
      ),
    ),
    sees: (q, k, _, h) => (h < 2 ? k <= q && q - k < 12 : (q - k) % 8 === 0 && k <= q),
  },
  { name: 'the future only', mask: not(causal()), sees: (q, k) => k > q },
  { name: 'softcap', score: softcap(5), scored: (s) => 5 * Math.tanh(s / 5) },
  { name: 'ALiBi', score: linearBias(slopes), scored: (s, q, k, _, h) => s + slopes[h]! * (k - q) },
  {
    name: 'ALiBi, causal',
    mask: causal(),
    sees: (q, k) => k <= q,
    score: linearBias(slopes),
    scored: (s, q, k, _, h) => s + slopes[h]! * (k - q),
  },
  {
    name: 'relative position bias',
    score: relativeBias(tensor(biases, [heads, 33])),
    scored: (s, q, k, _, h) => s + biases[h * 33 + clamp(k - q, -16, 16) + 16]!,
  },
  {
    name: 'T5 buckets',
    score: (() => {
      const bucket = capture(tensor(bucketOf, [129]), 'int')
      const bias = capture(tensor(bucketBias, [heads, 32]))
      return scoreMod((score, { head, query, key }) =>
        score.add(bias.at(head, bucket.at(query.sub(key).clamp(0, 128)).clamp(0, 31))),
      )
    })(),
    scored: (s, q, k, _, h) => s + bucketBias[h * 32 + bucketOf[clamp(q - k, 0, 128)]!]!,
  },
  { name: 'distance decay', score: distanceDecay(10), scored: (s, q, k) => s - (Math.abs(q - k) / 10) * Math.LN2 },
  {
    name: 'tanh softcap of a window',
    mask: slidingWindow(20),
    sees: (q, k) => k <= q && q - k < 20,
    score: softcap(3),
    scored: (s) => 3 * Math.tanh(s / 3),
  },
]

function vectors(rows: number, seed: number): HostTensor {
  const stream = random(seed, 'vectors')
  return tensor(
    Float32Array.from({ length: batch * heads * rows * 4 }, () => stream.normal()),
    [batch, heads, rows, 4],
  )
}

/** Softmax over all pairs that a predicate lets through, in one plain loop. */
function plainAttention(
  q: HostTensor,
  k: HostTensor,
  v: HostTensor,
  { sees = () => true, scored = (s: number) => s }: Example,
): number[] {
  const at = (view: HostTensor, row: number, c: number): number => Number(view.storage[row * 4 + c])
  const [queries, keys] = [q.shape[2]!, k.shape[2]!]
  const output: number[] = []
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < queries; i++) {
        const weights = numbers(keys, () => 0).map((_, j) => {
          const position = keys - queries + i
          if (!sees(position, j, b, h)) return 0
          const dot = [0, 1, 2, 3].reduce(
            (sum, c) => sum + at(q, (b * heads + h) * queries + i, c) * at(k, (b * heads + h) * keys + j, c),
            0,
          )
          return Math.exp(scored(dot / 2, position, j, b, h))
        })
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        for (let c = 0; c < 4; c++) {
          const sum = weights.reduce((sum, weight, j) => sum + weight * at(v, (b * heads + h) * keys + j, c), 0)
          output.push(total === 0 ? 0 : sum / total)
        }
      }
    }
  }
  return output
}

function expectClose(actual: ArrayLike<number>, expected: readonly number[]): void {
  const worst = expected.reduce((most, value, index) => Math.max(most, Math.abs(value - (actual[index] ?? NaN))), 0)
  // Constants of expressions are float32: 0.1 is not the float64 0.1.
  expect(worst).toBeLessThan(1e-6)
}

describe('the gallery', () => {
  const q = vectors(length, 1)
  const k = vectors(length, 2)
  const v = vectors(length, 3)

  it.each(examples)('$name', (example) => {
    const { output } = reference(problem(q, k, v, { mask: example.mask, score: example.score }))
    expectClose(output, plainAttention(q, k, v, example))
  })

  it.each(examples.filter(({ mask }) => mask))('$name, on the last rows alone, as when decoding with a cache', (example) => {
    const last = vectors(5, 4)
    const { output } = reference(problem(last, k, v, { mask: example.mask, score: example.score }))
    expectClose(output, plainAttention(last, k, v, example))
  })

  it('speculative decoding: a tree of drafted tokens after a context', () => {
    const drafted = vectors(parents.length, 5)
    const context = length - parents.length
    const isAncestor = (token: number, of: number): boolean => token === of || (of >= 0 && isAncestor(token, parents[of]!))
    const { output } = reference(problem(drafted, k, v, { mask: draftTree(parents) }))
    expectClose(
      output,
      plainAttention(drafted, k, v, { name: 'tree', sees: (q, k) => k < context || isAncestor(k - context, q - context) }),
    )
  })

  it('paged: keys in shuffled pages, found by a page table, attend as if they lay in order', () => {
    const pageSize = 8
    const pages = length / pageSize
    // Page p of the pool holds page order[p] of the sequence.
    const order = numbers(pages, () => 0).map((_, page) => (page * 5 + 3) % pages)
    const shuffled = (view: HostTensor): HostTensor => {
      const data = new Float32Array(view.storage.length)
      for (let head = 0; head < batch * heads; head++) {
        order.forEach((logical, physical) => {
          for (let e = 0; e < pageSize * 4; e++)
            data[(head * pages + physical) * pageSize * 4 + e] = Number(view.storage[(head * pages + logical) * pageSize * 4 + e])
        })
      }
      return tensor(data, view.shape)
    }
    const table = capture(tensor(Int32Array.from(order), [pages]), 'int')
    const pagedCausal = maskMod(({ query, key }) => table.at(key.floorDiv(pageSize)).mul(pageSize).add(key.mod(pageSize)).le(query))
    const { output } = reference(problem(q, shuffled(k), shuffled(v), { mask: pagedCausal }))
    expectClose(output, plainAttention(q, k, v, { name: 'paged', sees: (q, k) => k <= q }))
  })
})

describe('block maps of the library', () => {
  const image = { height: 20, width: 13 }
  const drawn = random(7, 'documents')
  const documentIds = numbers(260, () => drawn.integer(0, 9)).sort((a, b) => a - b)
  const masks: readonly (readonly [string, MaskMod])[] = [
    ['causal', causal()],
    ['causal, upper-left', causal('upper-left')],
    ['slidingWindow', slidingWindow(50)],
    ['a window of one', slidingWindow(1)],
    ['chunked', chunked(48)],
    ['causal and chunked', and(causal(), chunked(37))],
    ['dilated', dilated(7)],
    ['prefix', prefix(33)],
    ['prefix or causal', or(prefix(33), causal())],
    ['prefix by batch entry', or(prefix([70]), causal())],
    ['documents', documents(documentIds)],
    ['causal documents', and(causal(), documents(documentIds))],
    ['sinkTokens or slidingWindow', or(sinkTokens(5), slidingWindow(40))],
    ['not causal', not(causal())],
    ['not sliding', not(slidingWindow(30))],
    ['neighbourhood', neighbourhood(image, 5)],
    ['a wide neighbourhood', neighbourhood(image, 13)],
    ['draftTree', draftTree(parents)],
    ['a large draftTree', draftTree(numbers(60, () => 0).map((_, token) => Math.floor((token - 1) / 2)))],
  ]
  const tiles = [
    { queries: 16, keys: 16 },
    { queries: 32, keys: 8 },
    { queries: 1, keys: 32 },
    { queries: 64, keys: 64 },
    { queries: 3, keys: 5 },
  ]
  const shapes = [
    { queries: 260, keys: 260 },
    { queries: 60, keys: 260 },
    { queries: 7, keys: 131 },
  ]

  it.each(masks)('are exact: no full or empty tile of %s is called partial', (_, mask) => {
    for (const shape of shapes) {
      const seen = visiblePairs(mask, shape)
      for (const tile of tiles) {
        const map = blockMap(mask, { ...shape, tile })
        expect(statesOf(map), `${shape.queries} × ${shape.keys} in tiles of ${tile.queries} × ${tile.keys}`).toEqual(
          exactStates(map, shape, seen),
        )
      }
    }
  })
})

interface Lengths {
  readonly queries: number
  readonly keys: number
}

/** [queries · keys], 1 where the mask lets a pair through. */
function visiblePairs(mask: MaskMod, { queries, keys }: Lengths): Uint8Array {
  const evaluate = compileExpression(mask.node)
  return Uint8Array.from({ length: queries * keys }, (_, pair) => {
    const row = Math.floor(pair / keys)
    return evaluate(0, 0, keys - queries + row, pair % keys, row, NaN)
  })
}

/** Of each tile, 0 where it is empty, 2 where it is full, 1 where it is partial, as its pairs say. */
function exactStates({ tile, queryTiles, keyTiles }: BlockMap, { queries, keys }: Lengths, seen: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: queryTiles * keyTiles }, (_, index) => {
    const [firstRow, firstKey] = [Math.floor(index / keyTiles) * tile.queries, (index % keyTiles) * tile.keys]
    const [endRow, endKey] = [Math.min(queries, firstRow + tile.queries), Math.min(keys, firstKey + tile.keys)]
    let visible = 0
    for (let row = firstRow; row < endRow; row++)
      for (let key = firstKey; key < endKey; key++) visible += seen[row * keys + key] ?? 0
    return visible === 0 ? 0 : visible === (endRow - firstRow) * (endKey - firstKey) ? 2 : 1
  })
}

/** The same, as the block map says. */
function statesOf({ queryTiles, keyTiles, runOffsets, runs }: BlockMap): Uint8Array {
  const states = new Uint8Array(queryTiles * keyTiles)
  for (let row = 0; row < queryTiles; row++) {
    for (let run = 3 * (runOffsets[row] ?? 0); run < 3 * (runOffsets[row + 1] ?? 0); run += 3) {
      states.fill(runs[run + 2] === 1 ? 2 : 1, row * keyTiles + (runs[run] ?? 0), row * keyTiles + (runs[run + 1] ?? 0))
    }
  }
  return states
}
