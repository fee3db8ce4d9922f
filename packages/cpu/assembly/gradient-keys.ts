/**
 * The gradient's second pass: for each tile of 64 keys, over the rows that see them, dV = Σ pᵀ · dO and
 * dK = Σ dsᵀ · (scale · q). Rows come 64 at a time, so that each sum's accumulators are loaded once for 64 products;
 * weights and gradients of their 8 panels are turned around into [row][64 keys] first.
 */
import * as record from '../src/wasm/record'
import { describeGradientPanel, packOutputGradients, pairGradients, pairTiles, readOutputGradient } from './gradient'
import { packKeys, packQueries, packValueBlocks, readQuery, tileKeys, vectorBytes } from './operands'
import { packAcross, packFour, wholeBlocks, wholePanels } from './pack'
import { firstPosition, int, pointer, validKeys } from './problem'
import { panelRow, product } from './product'
import * as rows from './rows'
import { startAt, take, takeFloats, taken } from './scratch'
import { keyScoresBytes } from './softmax'
import { empty, tileClass } from './tile-map'
import { addSpecial } from './values'
import { splat } from './vector'

/** Rows that are taken at a time. */
const chunkRows: i32 = 64
/** Bytes of a turned row of weights. */
const turnedRow: usize = usize(tileKeys) * 4

/**
 * One panel's description, room for four vectors, its queries and output gradients as [dim][8], those of a chunk in panels of
 * 8 columns, weights and gradients turned around, keys and values in blocks, the sums, and tiles of pairs.
 */
let panel: usize, vectors: usize, q: usize, dO: usize, qPanels: usize, dOPanels: usize, p: usize, ds: usize
let k: usize, v: usize, dk: usize, dv: usize, tiles: usize, ones: usize, registers: usize

function layOut(problem: usize, scratch: usize): usize {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  startAt(scratch)
  panel = take(rows.panelBytes)
  vectors = take(4 * vectorBytes(problem))
  q = takeFloats(rows.panelRows * headDim)
  dO = takeFloats(rows.panelRows * valueDim)
  qPanels = takeFloats(chunkRows * wholePanels(headDim))
  dOPanels = takeFloats(chunkRows * wholePanels(valueDim))
  p = take(turnedRow * chunkRows)
  ds = take(turnedRow * chunkRows)
  k = takeFloats(tileKeys * headDim)
  v = takeFloats(tileKeys * valueDim)
  dk = takeFloats(tileKeys * wholePanels(headDim))
  dv = takeFloats(tileKeys * wholePanels(valueDim))
  tiles = takeFloats(pairTiles * tileKeys * rows.panelRows)
  ones = takeFloats(4)
  registers = take(int(problem, record.registerBytes))
  return taken()
}

export function gradientKeysScratch(problem: usize, _unit: i32, _scratch: usize): usize {
  return layOut(problem, 0)
}

/** One tile of keys of one key head of one batch entry. */
export function gradientKeys(problem: usize, unit: i32, scratch: usize): void {
  layOut(problem, scratch)
  v128.store(ones, splat(1))
  const keyTiles = (int(problem, record.keyLength) + tileKeys - 1) / tileKeys, keyHeads = int(problem, record.keyHeads)
  const sequence = unit / keyTiles, at = unit % keyTiles * tileKeys
  const batch = sequence / keyHeads, keyHead = sequence % keyHeads
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  const valid = validKeys(problem, batch)
  const keys = min(tileKeys, valid - at), stored = min(tileKeys, int(problem, record.keyLength) - at)
  memory.fill(dk, 0, usize(tileKeys * wholePanels(headDim)) * 4)
  memory.fill(dv, 0, usize(tileKeys * wholePanels(valueDim)) * 4)
  if (keys > 0) {
    packKeys(problem, batch, keyHead, at, keys, k, vectors)
    packValueBlocks(problem, batch, keyHead, at, keys, v, vectors)
    const rowCount = int(problem, record.queryLength) * int(problem, record.group)
    const firstRow = firstSeeing(problem, valid, at) & -chunkRows
    for (let first = firstRow; first < rowCount; first += chunkRows) addRows(problem, batch, keyHead, first, min(first + chunkRows, rowCount), rowCount, at, keys)
  }
  const number = sequence * int(problem, record.keyLength) + at
  storeSums(dk, stored, headDim, pointer(problem, record.dKey) + usize(number * headDim) * 4)
  storeSums(dv, stored, valueDim, pointer(problem, record.dValue) + usize(number * valueDim) * 4)
}

/** No row before this one sees key `at` or any after it: positions grow with rows, and ends with positions. */
function firstSeeing(problem: usize, valid: i32, at: i32): i32 {
  const right = int(problem, record.windowRight)
  const row = at - right - firstPosition(problem, valid)
  return max(0, row) * int(problem, record.group)
}

function addRows(problem: usize, batch: i32, keyHead: i32, first: i32, end: i32, rowCount: i32, at: i32, keys: i32): void {
  let special = splat(0), seen = 0
  for (let row = first; row < end; row += rows.panelRows) {
    describeGradientPanel(problem, batch, keyHead, row, rowCount, panel)
    if (rows.seesNone(panel, at, at + keys) || tileClass(problem, panel, at) == empty) continue
    packQueries(problem, batch, panel, q, vectors)
    packOutputGradients(problem, batch, panel, dO, vectors)
    pairGradients(problem, panel, at, keys, k, v, q, dO, tiles, registers)
    const lanes = min(rows.panelRows, end - row)
    turn(tiles, p + usize(seen) * turnedRow, keys, lanes)
    turn(tiles + usize(tileKeys * keyScoresBytes), ds + usize(seen) * turnedRow, keys, lanes)
    for (let lane = 0; lane < lanes; lane++, seen++) {
      readQuery(problem, batch, panel, lane, vectors)
      special = f32x4.add(special, packAcross(vectors, int(problem, record.headDim), seen, qPanels, usize(chunkRows) << 5))
      readOutputGradient(problem, batch, panel, lane, vectors)
      special = f32x4.add(special, packAcross(vectors, int(problem, record.valueDim), seen, dOPanels, usize(chunkRows) << 5))
    }
  }
  if (seen == 0) return
  if (v128.any_true(f32x4.ne(special, special))) addSpecialRows(problem, seen, keys)
  else {
    addProducts(p, dOPanels, seen, keys, int(problem, record.valueDim), dv)
    addProducts(ds, qPanels, seen, keys, int(problem, record.headDim), dk)
  }
}

/** [key][8 rows] of whole blocks of keys as rows of 64 keys. Lanes beyond the rows that exist are overwritten by what comes next. */
function turn(tile: usize, target: usize, keys: i32, lanes: i32): void {
  const packed = wholeBlocks(keys)
  for (let half = 0; half < lanes; half += 4) {
    for (let j = 0; j < packed; j += 4) {
      const a = tile + j * keyScoresBytes + (half << 2)
      packFour(a, a + keyScoresBytes, a + 2 * keyScoresBytes, a + 3 * keyScoresBytes, 4, target + half * turnedRow + (usize(j) << 2), turnedRow)
    }
  }
}

/** sums[keys][columns] += weightsᵀ · vectors. */
function addProducts(weights: usize, panels: usize, count: i32, keys: i32, columns: i32, sums: usize): void {
  const rowBytes = usize(wholePanels(columns)) << 2
  for (let column = 0; column < columns; column += 8, panels += usize(chunkRows) << 5) {
    for (let j = 0; j < keys; j += 4) {
      product(weights + (usize(j) << 2), turnedRow, panels, panelRow, count, sums + j * rowBytes + (usize(column) << 2), rowBytes, ones)
    }
  }
}

/** The same where queries or gradients may be infinite or NaN: rows that do not see a key then add nothing to its sums. */
function addSpecialRows(problem: usize, count: i32, keys: i32): void {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  for (let j = 0; j < keys; j++) {
    addSpecial(p + (usize(j) << 2), turnedRow, dOPanels, chunkRows, count, valueDim, dv + usize(j * wholePanels(valueDim)) * 4, 1)
    addSpecial(ds + (usize(j) << 2), turnedRow, qPanels, chunkRows, count, headDim, dk + usize(j * wholePanels(headDim)) * 4, 1)
  }
}

/** Rows of whole panels of columns, as rows without gaps. */
function storeSums(sums: usize, keys: i32, columns: i32, target: usize): void {
  const bytes = usize(columns) << 2
  for (let j = 0; j < keys; j++) memory.copy(target + j * bytes, sums + usize(j * wholePanels(columns)) * 4, bytes)
}
