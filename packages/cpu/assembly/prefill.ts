/**
 * Attention of one query tile: FlashAttention's forward pass on one thread.
 *
 *     pack the tile's queries, scaled, into panels of 8 rows
 *     for each tile of 64 keys that any of the rows sees:
 *         pack its keys in blocks of 4, its values in panels of 8 columns
 *         for each panel of rows:
 *             s = k · qᵀ                    scores, rows as lanes
 *             s → softcap, bias, masks      only where there are any
 *             p = softmax of s so far       (softmax.ts)
 *             o = rescale · o + pᵀ · v
 *     output = o / l,  lse = m + log l
 *
 * The score matrix exists 64 × 8 at a time. A tile of keys and values is packed once for all rows of the query tile; a
 * panel's queries, scores and outputs stay in the first-level cache while it is worked on.
 */
import * as record from '../src/wasm/record'
import { dropWeights } from './dropout'
import { packKeys, packQueries, packValues, tileKeys, vectorBytes } from './operands'
import { finishPanel } from './output'
import { wholeBlocks, wholePanels } from './pack'
import { int } from './problem'
import { blockRows, panelRow, product } from './product'
import * as rows from './rows'
import { startAt, take, takeFloats, taken } from './scratch'
import { changesScores, changeScores, hideByMasks, hideOutside } from './scores'
import { keyScoresBytes, softmaxTile } from './softmax'
import { anySees, empty, partial, tileClass } from './tile-map'
import { weighSpecialValues, weighValues } from './values'

/** Panel descriptions, room for four vectors, and the tiles of queries, scores, outputs, keys, values, expression registers. */
let panelsAt: usize, vectors: usize, q: usize, s: usize, o: usize, k: usize, v: usize, registers: usize

function layOut(problem: usize, scratch: usize): usize {
  const headDim = int(problem, record.headDim), valueColumns = wholePanels(int(problem, record.valueDim))
  const tileRows = int(problem, record.tileRows)
  startAt(scratch)
  panelsAt = take((usize(tileRows) / rows.panelRows) * rows.panelBytes)
  vectors = take(4 * vectorBytes(problem))
  q = takeFloats(tileRows * headDim)
  s = takeFloats(tileKeys * rows.panelRows)
  o = takeFloats(tileRows * valueColumns)
  k = takeFloats(tileKeys * headDim)
  v = takeFloats(tileKeys * valueColumns)
  registers = take(int(problem, record.registerBytes))
  return taken()
}

/** Bytes of scratch memory that a thread needs. */
export function prefillScratch(problem: usize, _unit: i32, _scratch: usize): usize {
  return layOut(problem, 0)
}

/**
 * One query tile of one key head of one batch entry. Units of a head run from its last tile to its first: under a causal
 * mask the last ones cost most, and what is left for the end is then small.
 */
export function prefill(problem: usize, unit: i32, scratch: usize): void {
  const tiles = int(problem, record.tiles), keyHeads = int(problem, record.keyHeads)
  const sequence = unit / tiles
  layOut(problem, scratch)
  attendTile(problem, sequence / keyHeads, sequence % keyHeads, tiles - 1 - unit % tiles)
}

function attendTile(problem: usize, batch: i32, keyHead: i32, tile: i32): void {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  const tileRows = int(problem, record.tileRows)
  const first = tile * tileRows
  const end = min(first + tileRows, int(problem, record.queryLength) * int(problem, record.group))
  const panels = (end - first + rows.panelRows - 1) / rows.panelRows
  const queryPanelBytes = usize(headDim) << 5, outputPanelBytes = usize(wholePanels(valueDim)) << 5

  let firstKey = i32.MAX_VALUE, endKey = 0
  for (let panel = 0; panel < panels; panel++) {
    const description = panelsAt + panel * rows.panelBytes
    rows.describePanel(problem, batch, keyHead, first + panel * rows.panelRows, end, description)
    packQueries(problem, batch, description, q + panel * queryPanelBytes, vectors)
    firstKey = min(firstKey, load<i32>(description, rows.lowestFirst))
    endKey = max(endKey, load<i32>(description, rows.highestEnd))
  }
  memory.fill(o, 0, panels * outputPanelBytes)

  for (let at = firstKey & -tileKeys; at < endKey; at += tileKeys) {
    const keys = min(tileKeys, endKey - at)
    if (!anySees(problem, panelsAt, panels, at, at + keys)) continue
    packKeys(problem, batch, keyHead, at, keys, k, vectors)
    const special = packValues(problem, batch, keyHead, at, keys, v, vectors)
    for (let panel = 0; panel < panels; panel++) {
      const lanes = min(rows.panelRows, end - first - panel * rows.panelRows)
      attendPanel(problem, panelsAt + panel * rows.panelBytes, lanes, q + panel * queryPanelBytes, o + panel * outputPanelBytes, at, keys, special)
    }
  }
  for (let panel = 0; panel < panels; panel++) {
    const lanes = min(rows.panelRows, end - first - panel * rows.panelRows)
    finishPanel(problem, batch, panelsAt + panel * rows.panelBytes, o + panel * outputPanelBytes, lanes)
  }
}

/**
 * One panel, of which `lanes` rows exist, and those of the packed keys `at` to `at + count` that it may see; `special` where
 * any of their values is infinite or NaN.
 */
function attendPanel(
  problem: usize, panel: usize, lanes: i32, queries: usize, outputs: usize, at: i32, count: i32, special: bool,
): void {
  const tile = tileClass(problem, panel, at)
  if (tile == empty || rows.seesNone(panel, at, at + count)) return
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  const skipped = rows.unseenBefore(panel, at) & -blockRows
  const keys = rows.endSeen(panel, at, count) - skipped, packedKeys = wholeBlocks(keys)
  const values = v + usize(skipped) * panelRow
  let block = k + (usize(skipped * headDim) << 2)
  at += skipped
  for (let j = 0; j < packedKeys; j += blockRows, block += usize(headDim) << 4) {
    product(block, 16, queries, panelRow, headDim, s + j * keyScoresBytes, keyScoresBytes, 0)
  }
  const changed = changesScores(problem), outside = !rows.seesAll(panel, at, at + packedKeys)
  if (changed) changeScores(problem, panel, s, at, keys, registers)
  if (tile == partial) hideByMasks(problem, panel, s, at, keys, registers)
  if (outside) hideOutside(panel, s, at, packedKeys)
  softmaxTile(s, packedKeys, panel + rows.maxima, panel + rows.sums, panel + rows.rescales, lanes)
  if (int(problem, record.dropoutThreshold) != 0) dropWeights(problem, panel, s, at, keys)
  const mayHide = outside || changed || tile == partial
  if (special && mayHide) weighSpecialValues(s, values, keys, valueDim, outputs, panel + rows.rescales)
  else weighValues(s, values, keys, valueDim, outputs, panel + rows.rescales, lanes)
}
