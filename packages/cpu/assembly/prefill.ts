/**
 * Attention of one query tile: FlashAttention's forward pass on one thread.
 *
 *     pack the tile's queries, scaled, into panels of 8 rows
 *     for each tile of 64 keys that any of the rows sees:
 *         pack its keys and values, or find them where they lie     (tiles.ts)
 *         for each panel of rows:
 *             s = k · qᵀ                    scores, rows as lanes (score-panel.ts)
 *             s → softcap, bias, masks      only where there are any
 *             p = softmax of s so far       (softmax.ts)
 *             o = rescale · o + pᵀ · v
 *     output = o / l,  lse = m + log l
 *
 * The score matrix exists 64 × 8 at a time. A tile of keys and values is packed once for all rows of the query tile; a
 * panel's queries, scores and outputs stay in the first-level cache while it is worked on. A row's sums are added up in
 * the same order whichever panel it is in, so that grouped heads give the bits that repeated keys give, where both have
 * more rows than are decoded otherwise (decode.ts).
 */
import * as record from '../src/wasm/record'
import { dropWeights } from './dropout'
import { packQueries, tileKeys, vectorBytes } from './operands'
import { finishPanel } from './output'
import { wholePanels } from './pack'
import { int } from './problem'
import { blockRows } from './product'
import * as rows from './rows'
import { startAt, take, takeFloats, taken } from './scratch'
import { scorePanel } from './score-panel'
import { changesScores, changeScores, hideByMasks, hideOutside } from './scores'
import { softmaxTile } from './softmax'
import { anySees, empty, partial, tileClass } from './tile-map'
import * as tile from './tiles'
import { ofValues, weighPanels, weighSpecialPanels } from './values'

/** Panel descriptions, room for four vectors, the tiles of queries, scores and outputs, expression registers. */
let panelsAt: usize, vectors: usize, q: usize, s: usize, o: usize, registers: usize

function layOut(problem: usize, scratch: usize): usize {
  const headDim = int(problem, record.headDim), valueColumns = wholePanels(int(problem, record.valueDim))
  const tileRows = int(problem, record.tileRows)
  startAt(scratch)
  panelsAt = take((usize(tileRows) / rows.panelRows) * rows.panelBytes)
  vectors = take(4 * vectorBytes(problem))
  q = takeFloats(tileRows * headDim)
  s = takeFloats(tileKeys * rows.panelRows)
  o = takeFloats(tileRows * valueColumns)
  tile.layOutTile(problem, vectors)
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

function attendTile(problem: usize, batch: i32, keyHead: i32, queryTile: i32): void {
  const tileRows = int(problem, record.tileRows)
  const first = queryTile * tileRows
  const end = min(first + tileRows, int(problem, record.queryLength) * int(problem, record.group))
  const panels = (end - first + rows.panelRows - 1) / rows.panelRows
  const queryBytes = usize(int(problem, record.headDim)) << 5, outputBytes = usize(wholePanels(int(problem, record.valueDim))) << 5

  let firstKey = i32.MAX_VALUE, endKey = 0
  for (let i = 0; i < panels; i++) {
    const panel = panelsAt + i * rows.panelBytes
    rows.describePanel(problem, batch, keyHead, first + i * rows.panelRows, end, panel)
    packQueries(problem, batch, panel, q + i * queryBytes, vectors)
    firstKey = min(firstKey, load<i32>(panel, rows.lowestFirst))
    endKey = max(endKey, load<i32>(panel, rows.highestEnd))
  }

  for (let at = firstKey & -tileKeys; at < endKey; at += tileKeys) {
    const keys = min(tileKeys, endKey - at)
    if (!anySees(problem, panelsAt, panels, at, at + keys)) continue
    tile.readTile(problem, batch, keyHead, at, keys, end - first)
    for (let i = 0; i < panels; i++) {
      const lanes = min(rows.panelRows, end - first - i * rows.panelRows)
      attendPanel(problem, panelsAt + i * rows.panelBytes, lanes, q + i * queryBytes, o + i * outputBytes, at, keys)
    }
  }

  for (let i = 0; i < panels; i++) {
    const panel = panelsAt + i * rows.panelBytes, outputs = o + i * outputBytes
    if (load<i32>(panel, rows.started) == 0) memory.fill(outputs, 0, outputBytes)
    finishPanel(problem, batch, panel, outputs, min(rows.panelRows, end - first - i * rows.panelRows))
  }
}

/** One panel, of which `lanes` rows exist, and those of the tile's keys `at` to `at + count` that it may see. */
function attendPanel(problem: usize, panel: usize, lanes: i32, queries: usize, outputs: usize, at: i32, count: i32): void {
  const visible = tileClass(problem, panel, at)
  if (visible == empty || rows.seesNone(panel, at, at + count)) return
  const end = rows.endSeen(panel, at, count)
  let skipped = rows.unseenBefore(panel, at) & -blockRows
  // Where keys lie, a last block that isn't whole begins earlier.
  if (tile.keysInPlace) skipped = min(skipped, max(0, end - blockRows))
  const keys = end - skipped
  at += skipped

  scorePanel(skipped, keys, queries, int(problem, record.headDim), lanes, s)
  const changed = changesScores(problem), outside = !rows.seesAll(panel, at, at + keys)
  if (changed) changeScores(problem, panel, s, at, keys, registers)
  if (visible == partial) hideByMasks(problem, panel, s, at, keys, registers)
  if (outside) hideOutside(panel, s, at, keys)
  softmaxTile(s, keys, panel + rows.maxima, panel + rows.sums, panel + rows.rescales, lanes)
  if (int(problem, record.dropoutThreshold) != 0) dropWeights(problem, panel, s, at, keys)

  const valueDim = int(problem, record.valueDim)
  const rescales = load<i32>(panel, rows.started) ? panel + rows.rescales : 0
  store<i32>(panel, 1, rows.started)
  ofValues(tile.values + skipped * tile.valueRow, tile.valueRow, tile.valuePanel)
  const mayHide = outside || changed || visible == partial
  if (mayHide && tile.hasSpecialValues(problem)) {
    weighSpecialPanels(s, keys, valueDim, outputs, rescales)
  } else weighPanels(s, keys, valueDim, outputs, rescales, lanes)
}
