import type { AttentionProblem, HostTensor } from '@qkv/core'
import { problemBlockMap, type BlockMap, type TileSize } from '@qkv/core/block-map'
import type { AttentionTarget, Run } from '../engine.ts'
import { hostView } from '../memory/storage.ts'
import { hostProblem, type HostProblem } from './host-problem.ts'
import { addValues, areFinite, scoreKeys, type Rows } from './row-products.ts'
import { scoreRule, type ScoreRule } from './score-rule.ts'
import { findRowRanges, finishScores, makeRowRanges, unplaced, type RowRanges, type ScoreTile } from './score-tile.ts'
import { noWeight, padded } from './tile-products.ts'
import {
  elementOf,
  loadVectors,
  rowSource,
  storeVector,
  takeRows,
  vectorRows,
  type RowSource,
  type Vectors,
  type VectorTile,
} from './vectors.ts'

/**
 * Exact attention by tiles, in float64. For each tile of queries q, with m = −∞, l = 0, o = 0 for each of its rows:
 *
 *     for each tile of keys k and values v that the block map does not call empty
 *       s ← scale·q·kᵀ, then softcap, bias, score expression; −∞ where hidden
 *       m′ ← max(m, max s);  p ← exp(s − m′)
 *       l ← l·exp(m − m′) + Σ p;  o ← o·exp(m − m′) + p·v;  m ← m′
 *     output ← o / l;  lse ← m + log l
 *
 * Dao et al., FlashAttention (2022), algorithm 1. Nothing is ever as large as queries times keys. A unit of the run is one
 * tile of queries of one head.
 */
export function attention(problem: AttentionProblem, target: AttentionTarget): Run {
  const { batch, queryHeads } = problem
  const map = problemBlockMap(hostProblem(problem), tileFor(problem))
  return {
    units: batch * queryHeads * map.queryTiles,
    run(first, end) {
      const kernel = makeKernel(hostProblem(problem), map, target)
      for (let unit = first; unit < end; unit++) attendTile(kernel, unit)
    },
  }
}

/** Long for the few queries of decoding, whose steps of softmax are short; else square, as edges of masks cross it. */
function tileFor({ queryLength }: AttentionProblem): TileSize {
  return { queries: 32, keys: queryLength < 4 ? 128 : 32 }
}

interface Kernel {
  readonly problem: HostProblem
  readonly map: BlockMap
  readonly rule: ScoreRule
  readonly ranges: RowRanges
  readonly query: Vectors
  readonly key: RowSource
  readonly value: RowSource
  readonly output: HostTensor
  readonly lse: HostTensor | undefined
  /** [rows, headDim], scaled. */
  readonly q: VectorTile
  /** [rows, valueDim], not yet divided by `l`. */
  readonly o: Rows<Float64Array>
  readonly m: Float64Array
  readonly l: Float64Array
  /** Scores, and then weights. */
  readonly tile: ScoreTile
  /** The tile's scores, as a matrix. */
  readonly s: Rows<Float64Array>
}

function makeKernel(problem: HostProblem, map: BlockMap, { output, lse }: AttentionTarget): Kernel {
  const { headDim, valueDim, queryLength, keyLength, query, key, value, keyScales, valueScales } = problem
  const rows = Math.min(map.tile.queries, queryLength)
  const width = padded(Math.min(map.tile.keys, keyLength))
  const scores = new Float64Array(rows * width)
  return {
    problem,
    map,
    rule: scoreRule(problem),
    ranges: makeRowRanges(rows),
    query: { tensor: query, dim: headDim, scales: undefined },
    key: rowSource({ tensor: key, dim: headDim, scales: keyScales }, width),
    value: rowSource({ tensor: value, dim: valueDim, scales: valueScales }, width),
    output: hostView(output),
    lse: lse && hostView(lse),
    q: vectorRows(rows, headDim),
    o: vectorRows(rows, padded(valueDim)),
    m: new Float64Array(rows),
    l: new Float64Array(rows),
    tile: { scores, rowStep: width, keyStep: 1, ...unplaced },
    s: { data: scores, start: 0, step: width },
  }
}

function attendTile(kernel: Kernel, unit: number): void {
  const { problem, map, tile } = kernel
  const { queryHeads, queryLength, scale } = problem
  const queryTile = unit % map.queryTiles
  tile.head = Math.floor(unit / map.queryTiles) % queryHeads
  tile.batch = Math.floor(unit / map.queryTiles / queryHeads)
  tile.firstRow = queryTile * map.tile.queries
  tile.rows = Math.min(map.tile.queries, queryLength - tile.firstRow)
  const { batch, head, firstRow, rows } = tile
  findRowRanges(kernel.ranges, problem, batch, firstRow, rows)
  loadVectors(kernel.query, batch, head, firstRow, rows, kernel.q, scale)
  startRows(kernel)
  const line = map.planeOf(batch, head) * map.queryTiles + queryTile
  for (let run = map.runOffsets[line]!; run < map.runOffsets[line + 1]!; run++) {
    tile.full = map.runs[3 * run + 2] === 1
    const end = map.runs[3 * run + 1]!
    for (let keyTile = map.runs[3 * run]!; keyTile < end; keyTile++) attendKeys(kernel, keyTile)
  }
  finishRows(kernel)
}

/** Before any key, a row has seen nothing but its head's sink, whose weight has no value. */
function startRows({ problem: { sinks }, tile, m, l, o }: Kernel): void {
  const sink = sinks === undefined ? -Infinity : elementOf(sinks, tile.head)
  m.fill(sink)
  l.fill(sink === -Infinity ? 0 : 1)
  o.data.fill(0)
}

function attendKeys(kernel: Kernel, keyTile: number): void {
  const { problem, map, tile, rule, q, s, o } = kernel
  const { headDim, valueDim, keyLength, group } = problem
  const { batch, head, rows } = tile
  const firstKey = keyTile * map.tile.keys
  const keys = Math.min(map.tile.keys, keyLength - firstKey)
  tile.firstKey = firstKey
  tile.keys = keys
  const keyHead = Math.floor(head / group)
  const k = takeRows(kernel.key, batch, keyHead, firstKey, keys)
  const v = takeRows(kernel.value, batch, keyHead, firstKey, keys)

  scoreKeys(q, k, s, rows, keys, headDim)
  finishScores(tile, rule, kernel.ranges)
  const hidden = absorbScores(kernel)
  addValues(s, v, o, rows, keys, valueDim, !hidden || areFinite(v, keys, valueDim))
}

/**
 * The step of online softmax: scores become weights under the rows' new maxima, and earlier sums follow them.
 *
 * @returns whether any key's value counts for nothing in any row.
 */
function absorbScores({ problem, tile, rule, ranges, m, l, o }: Kernel): boolean {
  const { scores, rowStep: width, rows, keys } = tile
  let hidden = rule.drops !== undefined
  for (let i = 0; i < rows; i++) {
    const start = i * width
    let highest = m[i]!
    for (let at = start; at < start + keys; at++) if (scores[at]! > highest) highest = scores[at]!
    if (highest > m[i]!) {
      const rescale = Math.exp(m[i]! - highest)
      l[i]! *= rescale
      for (let c = i * o.step; c < i * o.step + problem.valueDim; c++) o.data[c]! *= rescale
      m[i] = highest
    }
    let sum = 0
    for (let at = start; at < start + keys; at++) {
      const s = scores[at]!
      if (s === -Infinity) {
        hidden = true
        scores[at] = noWeight
        continue
      }
      const p = Math.exp(s - highest)
      sum += p
      scores[at] = p
    }
    l[i]! += sum
    if (rule.drops !== undefined) dropWeights(tile, rule, ranges, i)
  }
  return hidden
}

/** Dropped weights have counted in the sum, but take no value. */
function dropWeights(
  { scores, rowStep, batch, head, firstRow, firstKey, keys }: ScoreTile,
  { drops, keptWeight }: ScoreRule,
  ranges: RowRanges,
  i: number,
): void {
  for (let j = 0; j < keys; j++) {
    const at = i * rowStep + j
    const dropped = drops?.(batch, head, firstRow + i, ranges.position + i, firstKey + j)
    scores[at] = dropped ? noWeight : scores[at]! * keptWeight
  }
}

function finishRows({ problem: { valueDim, queryHeads, queryLength }, tile, output, lse, m, l, o }: Kernel): void {
  const { batch, head, firstRow, rows } = tile
  for (let i = 0; i < rows; i++) {
    const factor = l[i] === 0 ? 0 : 1 / l[i]!
    storeVector(output, batch, head, firstRow + i, o.data, i * o.step, valueDim, factor)
    if (lse === undefined) continue
    const at = lse.offset + (batch * queryHeads + head) * queryLength + firstRow + i
    lse.storage[at] = m[i]! + Math.log(l[i]!)
  }
}
