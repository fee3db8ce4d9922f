/**
 * Attention of a few query rows (at most one panel of 8, such as the grouped heads of one new token) over many keys.
 * Scores are taken from keys as they lie, and values are weighed so (`in-place.ts`), each read once for all rows. Rows of
 * scores are rows in memory, s[row][key], but where keys are hidden, scores changed or several rows look at what must be widened:
 * there they are a panel, as in `prefill.ts`.
 *
 * A long sequence of keys is cut into splits of fixed length, which different threads can work on; each leaves a partial
 *
 *     m = max s     l = Σ e^(s − m)     o = Σ e^(s − m) · v
 *
 * and `mergeSplits` weighs them: with M = max m, output = Σ e^(m − M) · o / Σ e^(m − M) · l. The cut follows from the
 * problem alone, so the result is the same however many threads there are.
 */
import * as record from '../src/wasm/record'
import { interleaveRow } from './dot'
import { dropWeights } from './dropout'
import { exp } from './exp'
import { scoreRowBytes, toPanel } from './in-fours'
import { placeTile, roomBytes, startTiles } from './in-place'
import { inPlace, packValues, readQuery, tileKeys, vectorBytes } from './operands'
import { finishPanel } from './output'
import { wholeBlocks, wholePanels } from './pack'
import { int, pointer } from './problem'
import * as rows from './rows'
import { startAt, take, takeFloats, taken } from './scratch'
import { changesScores, changeScores, hideByMasks, hideOutside } from './scores'
import { keyScoresBytes, softmaxTile, zeroWhereEmpty } from './softmax'
import { scorePanel, scoreRows } from './score-in-place'
import { softmaxRow } from './softmax-rows'
import { partial, tileClass } from './tile-map'
import { halfQueryFactor } from './stored'
import { weighPanel, weighRows } from './weigh-in-place'
import { weighSpecialValues, weighValues } from './values'
import { multiplyAdd, negativeInfinity, splat } from './vector'

/** The panel's description, room for vectors, queries, scores and outputs as rows. */
let panel: usize, vectors: usize, q: usize, s: usize, o: usize
/** Scores as a panel, packed values, expression registers. */
let panelScores: usize, v: usize, registers: usize
/** Whether scores come as a panel, of queries interleaved by fours, and what queries are multiplied by. */
let asPanel: bool, queryFactor: f32

function layOut(problem: usize, scratch: usize): usize {
  const valueColumns = wholePanels(int(problem, record.valueDim))
  startAt(scratch)
  panel = take(rows.panelBytes)
  vectors = take(roomBytes(vectorBytes(problem)))
  q = takeFloats(rows.panelRows * wholeBlocks(int(problem, record.headDim)))
  s = take(rows.panelRows * scoreRowBytes)
  o = takeFloats(rows.panelRows * valueColumns)
  v = takeFloats(tileKeys * valueColumns)
  panelScores = takeFloats((tileKeys + 3) * rows.panelRows)
  registers = take(int(problem, record.registerBytes))
  return taken()
}

export function decodeScratch(problem: usize, _unit: i32, _scratch: usize): usize {
  return layOut(problem, 0)
}

/** One split of the keys of one key head of one batch entry. */
export function decode(problem: usize, unit: i32, scratch: usize): void {
  const splits = int(problem, record.splits), keyHeads = int(problem, record.keyHeads)
  const sequence = unit / splits, split = unit % splits
  const batch = sequence / keyHeads, keyHead = sequence % keyHeads
  const rowCount = int(problem, record.queryLength) * int(problem, record.group)
  layOut(problem, scratch)
  rows.describePanel(problem, batch, keyHead, 0, rowCount, panel)
  if (split > 0) forgetSinks()
  readQueries(problem, batch, rowCount)
  startTiles(problem, vectors, vectorBytes(problem))
  const outputBytes = usize(wholePanels(int(problem, record.valueDim))) << 5
  memory.fill(o, 0, outputBytes)

  const start = split * int(problem, record.splitKeys)
  const firstKey = max(start, load<i32>(panel, rows.lowestFirst) & -tileKeys)
  const endKey = min(start + int(problem, record.splitKeys), load<i32>(panel, rows.highestEnd))
  for (let at = firstKey; at < endKey; at += tileKeys) attendTile(problem, batch, keyHead, at, min(tileKeys, endKey - at), rowCount)

  if (splits == 1) finishPanel(problem, batch, panel, o, rowCount)
  else {
    const partial = partialOf(problem, unit)
    memory.copy(partial, panel + rows.maxima, 64)
    memory.copy(partial + 64, o, outputBytes)
  }
}

/** The sinks' logits count in the first split alone. */
function forgetSinks(): void {
  for (let half = 0; half < 32; half += 16) {
    v128.store(panel + half, splat(negativeInfinity), rows.maxima)
    v128.store(panel + half, splat(0), rows.sums)
  }
}

/** Multiplied by `halfQueryFactor` for keys that are halves, unless that is too much for one. */
function readQueries(problem: usize, batch: i32, rowCount: i32): void {
  const key = inPlace(problem, record.key), isHalf = key == record.float16
  asPanel = rowCount > 1 && max(key, inPlace(problem, record.value)) > record.float32
  queryFactor = isHalf ? halfQueryFactor : 1
  if (!storeQueries(problem, batch, rowCount) && isHalf) queryFactor = 1, storeQueries(problem, batch, rowCount)
}

/** As rows of whole fours, filled up with zeros. Whether all is finite. */
function storeQueries(problem: usize, batch: i32, rowCount: i32): bool {
  const rowBytes = usize(wholeBlocks(int(problem, record.headDim))) << 2
  const factor = splat(queryFactor)
  let zeros = splat(0)
  if (asPanel) memory.fill(q, 0, rowBytes * rows.panelRows)
  for (let lane = 0; lane < rowCount; lane++) {
    const row = asPanel ? vectors : q + lane * rowBytes
    v128.store(row + rowBytes - 16, splat(0))
    readQuery(problem, batch, panel, lane, row)
    for (let at = row, end = row + rowBytes; at < end; at += 16) {
      const x = f32x4.mul(v128.load(at), factor)
      v128.store(at, x)
      zeros = f32x4.add(zeros, f32x4.mul(x, splat(0)))
    }
    if (asPanel) interleaveRow(row, rowBytes, lane & 3, q + (lane >> 2) * 4 * rowBytes)
  }
  return !v128.any_true(f32x4.ne(zeros, zeros))
}

function attendTile(problem: usize, batch: i32, keyHead: i32, at: i32, keys: i32, rowCount: i32): void {
  placeTile(batch, keyHead, at, keys, rowCount)
  const changed = changesScores(problem), masked = tileClass(problem, panel, at) == partial
  const dropped = int(problem, record.dropoutThreshold) != 0
  const plain = !changed && !masked && !dropped && rows.seesAll(panel, at, at + keys)
  if (asPanel) scorePanel(q, queryFactor, panelScores)
  else scoreRows(q, queryFactor, s)
  if (plain && !asPanel) return attendRows(problem, keys, rowCount)
  if (!asPanel) toPanel(s, keys, rowCount, panelScores)
  if (changed) changeScores(problem, panel, panelScores, at, keys, registers)
  if (masked) hideByMasks(problem, panel, panelScores, at, keys, registers)
  if (!plain && !rows.seesAll(panel, at, at + keys)) hideOutside(panel, panelScores, at, keys)
  softmaxTile(panelScores, keys, panel + rows.maxima, panel + rows.sums, panel + rows.rescales, rowCount)
  if (dropped) dropWeights(problem, panel, panelScores, at, keys)
  if (!plain || !weighPanel(panelScores, o, outputRowBytes(problem), panel + rows.rescales)) {
    weighCarefully(problem, batch, keyHead, at, keys, rowCount)
  }
}

/** A tile of which every row sees all keys, with scores as they are. */
function attendRows(problem: usize, keys: i32, rowCount: i32): void {
  for (let row = 0; row < rowCount; row++) {
    const lane = panel + (row << 2)
    softmaxRow(s + row * scoreRowBytes, keys, lane + rows.maxima, lane + rows.sums, lane + rows.rescales)
  }
  weighRows(s, o, outputRowBytes(problem), panel + rows.rescales)
}

// @ts-ignore: decorator
@inline
function outputRowBytes(problem: usize): usize {
  return usize(wholePanels(int(problem, record.valueDim))) << 2
}

/** Some weights may be 0 because their key is hidden; its value must then not count, even if it is NaN. */
function weighCarefully(problem: usize, batch: i32, keyHead: i32, at: i32, keys: i32, rowCount: i32): void {
  const valueDim = int(problem, record.valueDim)
  const special = packValues(problem, batch, keyHead, at, keys, v, vectors)
  if (special) weighSpecialValues(panelScores, v, keys, valueDim, o, panel + rows.rescales)
  else weighValues(panelScores, v, keys, valueDim, o, panel + rows.rescales, rowCount)
}

/** A partial: 8 maxima, 8 sums, 8 rows of outputs. */
// @ts-ignore: decorator
@inline
function partialOf(problem: usize, unit: i32): usize {
  return pointer(problem, record.partials) + unit * partialBytes(problem)
}

// @ts-ignore: decorator
@inline
function partialBytes(problem: usize): usize {
  return 64 + (usize(wholePanels(int(problem, record.valueDim))) << 5)
}

/** All splits of one key head of one batch entry. */
export function mergeSplits(problem: usize, unit: i32, scratch: usize): void {
  const splits = int(problem, record.splits), keyHeads = int(problem, record.keyHeads)
  const batch = unit / keyHeads
  const rowCount = int(problem, record.queryLength) * int(problem, record.group)
  layOut(problem, scratch)
  rows.describePanel(problem, batch, unit % keyHeads, 0, rowCount, panel)
  const outputBytes = usize(wholePanels(int(problem, record.valueDim))) << 5
  memory.fill(o, 0, outputBytes)
  for (let half = 0; half < 32; half += 16) {
    let m = splat(negativeInfinity), l = splat(0)
    for (let split = 0; split < splits; split++) m = f32x4.pmax(m, v128.load(partialOf(problem, unit * splits + split) + half))
    v128.store(panel + half, m, rows.maxima)
    m = zeroWhereEmpty(m)
    for (let split = 0; split < splits; split++) {
      const partial = partialOf(problem, unit * splits + split) + half
      const weight = exp(f32x4.sub(v128.load(partial), m))
      v128.store(partial, weight)
      l = multiplyAdd(weight, v128.load(partial, 32), l)
    }
    v128.store(panel + half, l, rows.sums)
  }
  for (let split = 0; split < splits; split++) addWeighted(partialOf(problem, unit * splits + split), outputBytes >> 3)
  finishPanel(problem, batch, panel, o, rowCount)
}

/** o += weight · o of the partial, whose maxima have become weights. */
function addWeighted(partial: usize, rowBytes: usize): void {
  for (let row = 0; row < rows.panelRows; row++) {
    const weight = v128.load32_splat(partial + (row << 2))
    const source = partial + 64 + row * rowBytes, target = o + row * rowBytes
    for (let i: usize = 0; i < rowBytes; i += 16) {
      v128.store(target + i, multiplyAdd(weight, v128.load(source + i), v128.load(target + i)))
    }
  }
}
