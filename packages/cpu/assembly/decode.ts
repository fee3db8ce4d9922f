/**
 * Attention of a few query rows (at most one panel of 8, such as the grouped heads of one new token) over many keys.
 * Scores are taken from keys as they lie, and values are weighed so (`in-place.ts`), each read once for all rows. A long
 * sequence of keys is cut into splits of fixed length, which different threads can work on;
 * each leaves a partial
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
import { chunkVectors, keysInPlace, scoreTile, valuesInPlace, weighTile } from './in-place'
import { packValues, readQuery, tileKeys, vectorBytes } from './operands'
import { finishPanel } from './output'
import { wholeBlocks, wholePanels } from './pack'
import { int, pointer } from './problem'
import * as rows from './rows'
import { startAt, take, takeFloats, taken } from './scratch'
import { changesScores, changeScores, hideByMasks, hideOutside } from './scores'
import { keyScoresBytes, softmaxTile, zeroWhereEmpty } from './softmax'
import { halfQueryFactor } from './stored'
import { partial, tileClass } from './tile-map'
import { weighSpecialValues, weighValues } from './values'
import { multiplyAdd, negativeInfinity, splat } from './vector'

/** The panel's description, room for four vectors, queries as rows, scores, outputs, values, converted keys, expression registers. */
let panel: usize, vectors: usize, q: usize, s: usize, o: usize, v: usize, chunk: usize, registers: usize
/** Of keys and values that are worked on where they lie, or −1. */
let keyDtype: i32, valueDtype: i32

function layOut(problem: usize, scratch: usize): usize {
  const valueColumns = wholePanels(int(problem, record.valueDim))
  startAt(scratch)
  panel = take(rows.panelBytes)
  vectors = take(4 * vectorBytes(problem))
  q = takeFloats(rows.panelRows * wholeBlocks(int(problem, record.headDim)))
  s = takeFloats((tileKeys + 3) * rows.panelRows)
  o = takeFloats(rows.panelRows * valueColumns)
  v = takeFloats(tileKeys * valueColumns)
  chunk = take(chunkVectors * vectorBytes(problem))
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
  const outputBytes = usize(wholePanels(int(problem, record.valueDim))) << 5
  memory.fill(o, 0, outputBytes)
  valueDtype = valuesInPlace(problem)

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

/**
 * One row as it is, several interleaved by fours, as `dot.ts` reads them; what fills them up is 0. For keys that are halves
 * they are multiplied by `halfQueryFactor`, unless that is too much for one.
 */
function readQueries(problem: usize, batch: i32, rowCount: i32): void {
  const rowBytes = usize(wholeBlocks(int(problem, record.headDim))) << 2
  keyDtype = keysInPlace(problem)
  if (keyDtype == record.float16 && !storeQueries(problem, batch, rowCount, rowBytes, halfQueryFactor)) keyDtype = -1
  if (keyDtype != record.float16) storeQueries(problem, batch, rowCount, rowBytes, 1)
}

/** Whether all is finite. */
function storeQueries(problem: usize, batch: i32, rowCount: i32, rowBytes: usize, factor: f32): bool {
  let zeros = splat(0)
  memory.fill(q, 0, rowBytes * rows.panelRows)
  v128.store(vectors + rowBytes - 16, splat(0))
  for (let lane = 0; lane < rowCount; lane++) {
    readQuery(problem, batch, panel, lane, vectors)
    for (let at = vectors, end = at + rowBytes; at < end; at += 16) {
      const x = f32x4.mul(v128.load(at), splat(factor))
      v128.store(at, x)
      zeros = f32x4.add(zeros, f32x4.mul(x, splat(0)))
    }
    if (rowCount == 1) memory.copy(q, vectors, rowBytes)
    else interleaveRow(vectors, rowBytes, lane & 3, q + (lane >> 2) * 4 * rowBytes)
  }
  return !v128.any_true(f32x4.ne(zeros, zeros))
}

function attendTile(problem: usize, batch: i32, keyHead: i32, at: i32, keys: i32, rowCount: i32): void {
  scoreTile(problem, batch, keyHead, at, keys, q, s, rowCount, keyDtype, chunk)
  const changed = changesScores(problem), masked = tileClass(problem, panel, at) == partial
  if (changed) changeScores(problem, panel, s, at, keys, registers)
  if (masked) hideByMasks(problem, panel, s, at, keys, registers)
  const outside = !rows.seesAll(panel, at, at + keys)
  if (outside) hideOutside(panel, s, at, keys)
  softmaxTile(s, keys, panel + rows.maxima, panel + rows.sums, panel + rows.rescales, rowCount)
  if (int(problem, record.dropoutThreshold) != 0) dropWeights(problem, panel, s, at, keys)
  if (outside || changed || masked) weighCarefully(problem, batch, keyHead, at, keys, rowCount)
  else weighTile(problem, batch, keyHead, at, keys, s, o, panel + rows.rescales, rowCount, valueDtype, chunk)
}

/** Some weights may be 0 because their key is hidden; its value must then not count, even if it is NaN. */
function weighCarefully(problem: usize, batch: i32, keyHead: i32, at: i32, keys: i32, rowCount: i32): void {
  const valueDim = int(problem, record.valueDim)
  const special = packValues(problem, batch, keyHead, at, keys, v, vectors)
  if (special) weighSpecialValues(s, v, keys, valueDim, o, panel + rows.rescales)
  else weighValues(s, v, keys, valueDim, o, panel + rows.rescales, rowCount)
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
