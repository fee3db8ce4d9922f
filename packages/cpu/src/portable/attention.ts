import type { AttentionProblem, HostTensor } from '@qkv/core'
import { problemBlockMap, type BlockMap } from '@qkv/core/block-map'
import type { AttentionTarget, Run } from '../engine.ts'
import { hostView } from '../memory/storage.ts'
import { hostProblem, type HostProblem } from './host-problem.ts'
import { scoreRule, type ScoreRule } from './score-rule.ts'
import { findRowRanges, finishScores, makeRowRanges, unplaced, type RowRanges, type ScoreTile } from './score-tile.ts'
import { addValues, areFinite, scoreKeys } from './row-products.ts'
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
  const map = problemBlockMap(hostProblem(problem), tileSize)
  return {
    units: batch * queryHeads * map.queryTiles,
    run(first, end) {
      const kernel = makeKernel(hostProblem(problem), map, target)
      for (let unit = first; unit < end; unit++) attendTile(kernel, unit)
    },
  }
}

const tileSize = { queries: 32, keys: 32 } as const

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
  /** [rows, valueWidth] */
  readonly o: Float64Array
  readonly valueWidth: number
  readonly m: Float64Array
  readonly l: Float64Array
  /** Scores, and then weights. */
  readonly tile: ScoreTile
}

function makeKernel(problem: HostProblem, map: BlockMap, { output, lse }: AttentionTarget): Kernel {
  const { headDim, valueDim, queryLength, keyLength, query, key, value, keyScales, valueScales } = problem
  const rows = Math.min(tileSize.queries, queryLength)
  const width = padded(Math.min(tileSize.keys, keyLength))
  const valueWidth = padded(valueDim)
  return {
    problem,
    map,
    valueWidth,
    rule: scoreRule(problem),
    ranges: makeRowRanges(rows),
    query: { tensor: query, dim: headDim, scales: undefined },
    key: rowSource({ tensor: key, dim: headDim, scales: keyScales }, width),
    value: rowSource({ tensor: value, dim: valueDim, scales: valueScales }, width),
    output: hostView(output),
    lse: lse && hostView(lse),
    q: vectorRows(rows, headDim),
    o: new Float64Array(rows * valueWidth),
    m: new Float64Array(rows),
    l: new Float64Array(rows),
    tile: {
      scores: new Float64Array(rows * width),
      rowStep: width,
      keyStep: 1,
      ...unplaced,
    },
  }
}

function attendTile(kernel: Kernel, unit: number): void {
  const { problem, map, tile } = kernel
  const { queryHeads, queryLength, scale } = problem
  const queryTile = unit % map.queryTiles
  tile.head = Math.floor(unit / map.queryTiles) % queryHeads
  tile.batch = Math.floor(unit / map.queryTiles / queryHeads)
  tile.firstRow = queryTile * tileSize.queries
  tile.rows = Math.min(tileSize.queries, queryLength - tile.firstRow)
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
  o.fill(0)
}

function attendKeys(kernel: Kernel, keyTile: number): void {
  const { problem, tile, rule, q, o, valueWidth } = kernel
  const { headDim, valueDim, keyLength, group } = problem
  const { batch, head, rows, scores, rowStep: width } = tile
  const firstKey = keyTile * tileSize.keys
  const keys = Math.min(tileSize.keys, keyLength - firstKey)
  tile.firstKey = firstKey
  tile.keys = keys
  const keyHead = Math.floor(head / group)
  const k = takeRows(kernel.key, batch, keyHead, firstKey, keys)
  const v = takeRows(kernel.value, batch, keyHead, firstKey, keys)

  scoreKeys(q.data, k, scores, width, rows, keys, headDim)
  finishScores(tile, rule, kernel.ranges)
  const hidden = absorbScores(kernel)
  addValues(scores, width, v, o, valueWidth, rows, keys, valueDim, !hidden || areFinite(v, keys, valueDim))
}

/**
 * The step of online softmax: scores become weights under the rows' new maxima, and earlier sums follow them.
 *
 * @returns whether any key's value counts for nothing in any row.
 */
function absorbScores({ tile, rule, ranges, m, l, o, valueWidth }: Kernel): boolean {
  const { scores, rowStep: width, rows, keys } = tile
  let hidden = rule.drops !== undefined
  for (let i = 0; i < rows; i++) {
    const start = i * width
    let highest = m[i]!
    for (let at = start; at < start + keys; at++) if (scores[at]! > highest) highest = scores[at]!
    if (highest > m[i]!) {
      const rescale = Math.exp(m[i]! - highest)
      l[i]! *= rescale
      for (let c = i * valueWidth; c < (i + 1) * valueWidth; c++) o[c]! *= rescale
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

function finishRows({ problem: { valueDim, queryHeads, queryLength }, tile, output, lse, m, l, o, valueWidth }: Kernel): void {
  const { batch, head, firstRow, rows } = tile
  for (let i = 0; i < rows; i++) {
    const factor = l[i] === 0 ? 0 : 1 / l[i]!
    storeVector(output, batch, head, firstRow + i, o, i * valueWidth, valueDim, factor)
    if (lse === undefined) continue
    const at = lse.offset + (batch * queryHeads + head) * queryLength + firstRow + i
    lse.storage[at] = m[i]! + Math.log(l[i]!)
  }
}
