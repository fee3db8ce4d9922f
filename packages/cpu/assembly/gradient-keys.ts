/**
 * The gradient's second pass: for each tile of 64 keys, over the rows that see them, dV = Σ pᵀ · dO and
 * dK = Σ dsᵀ · (scale · q). Rows come 64 at a time, so that each sum's accumulators are loaded once for 64 products;
 * weights and gradients of their 8 panels are turned around into [row][64 keys] first.
 */
import * as record from '../src/wasm/record'
import { ds, layOutPairs, p, packTile, pairGradients, vectors } from './gradient'
import { describeGradientPanel, packOutputGradients, readOutputGradient } from './gradient-rows'
import { packQueries, readQuery, tileKeys } from './operands'
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

/** Bytes of a panel of a chunk. */
const chunkPanel: usize = usize(chunkRows) * panelRow

/**
 * One panel's description, its queries and output gradients as [dim][8], those of a chunk in panels of 8 columns, its
 * weights and gradients turned around, and the sums.
 */
let panel: usize, q: usize, dO: usize, qPanels: usize, dOPanels: usize, weights: usize, gradients: usize, dk: usize, dv: usize
let ones: usize

function layOut(problem: usize, scratch: usize): usize {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  startAt(scratch)
  layOutPairs(problem)
  panel = take(rows.panelBytes)
  q = takeFloats(rows.panelRows * headDim)
  dO = takeFloats(rows.panelRows * valueDim)
  qPanels = takeFloats(chunkRows * wholePanels(headDim))
  dOPanels = takeFloats(chunkRows * wholePanels(valueDim))
  weights = take(turnedRow * chunkRows)
  gradients = take(turnedRow * chunkRows)
  dk = takeFloats(tileKeys * wholePanels(headDim))
  dv = takeFloats(tileKeys * wholePanels(valueDim))
  ones = takeFloats(4)
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
    packTile(problem, batch, keyHead, at, keys)
    const rowCount = int(problem, record.queryLength) * int(problem, record.group)
    const firstRow = firstSeeing(problem, valid, at) & -chunkRows
    for (let first = firstRow; first < rowCount; first += chunkRows) addRows(problem, batch, keyHead, first, rowCount, at, keys)
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

/** A chunk of rows from `first` on, of which those below `rowCount` exist. */
function addRows(problem: usize, batch: i32, keyHead: i32, first: i32, rowCount: i32, at: i32, keys: i32): void {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  const end = min(first + chunkRows, rowCount)
  let special = splat(0), seen = 0
  for (let row = first; row < end; row += rows.panelRows) {
    describeGradientPanel(problem, batch, keyHead, row, rowCount, panel)
    if (rows.seesNone(panel, at, at + keys) || tileClass(problem, panel, at) == empty) continue
    packQueries(problem, batch, panel, q, vectors)
    packOutputGradients(problem, batch, panel, dO, vectors)
    pairGradients(problem, panel, at, keys, q, dO)
    const lanes = min(rows.panelRows, end - row)
    turn(p, weights + usize(seen) * turnedRow, keys, lanes)
    turn(ds, gradients + usize(seen) * turnedRow, keys, lanes)
    for (let lane = 0; lane < lanes; lane++, seen++) {
      readQuery(problem, batch, panel, lane, vectors)
      special = f32x4.add(special, packAcross(vectors, headDim, seen, qPanels, chunkPanel))
      readOutputGradient(problem, batch, panel, lane, vectors)
      special = f32x4.add(special, packAcross(vectors, valueDim, seen, dOPanels, chunkPanel))
    }
  }
  if (seen == 0) return
  if (v128.any_true(f32x4.ne(special, special))) addSpecialRows(problem, seen, keys)
  else {
    addProducts(weights, dOPanels, seen, keys, valueDim, dv)
    addProducts(gradients, qPanels, seen, keys, headDim, dk)
  }
}

/** [key][8 rows] of whole blocks of keys as rows of 64 keys. Lanes beyond the rows that exist are overwritten by what comes next. */
function turn(tile: usize, target: usize, keys: i32, lanes: i32): void {
  const packed = wholeBlocks(keys)
  for (let half = 0; half < lanes; half += 4, target += 4 * turnedRow) {
    for (let j = 0; j < packed; j += 4) {
      const a = tile + j * keyScoresBytes + (half << 2)
      packFour(a, a + keyScoresBytes, a + 2 * keyScoresBytes, a + 3 * keyScoresBytes, 4, target + (usize(j) << 2), turnedRow)
    }
  }
}

/** sums[keys][columns] += factorsᵀ · vectors. */
function addProducts(factors: usize, panels: usize, count: i32, keys: i32, columns: i32, sums: usize): void {
  const rowBytes = usize(wholePanels(columns)) << 2
  for (let column = 0; column < columns; column += 8, panels += chunkPanel) {
    for (let j = 0; j < keys; j += 4) {
      product(factors + (usize(j) << 2), turnedRow, panels, panelRow, count, sums + j * rowBytes + (usize(column) << 2), rowBytes, ones)
    }
  }
}

/** The same where queries or gradients may be infinite or NaN: rows that do not see a key then add nothing to its sums. */
function addSpecialRows(problem: usize, count: i32, keys: i32): void {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  for (let j = 0; j < keys; j++) {
    addSpecial(weights + (usize(j) << 2), turnedRow, dOPanels, chunkRows, count, valueDim, dv + usize(j * wholePanels(valueDim)) * 4)
    addSpecial(gradients + (usize(j) << 2), turnedRow, qPanels, chunkRows, count, headDim, dk + usize(j * wholePanels(headDim)) * 4)
  }
}

/** Rows of whole panels of columns, as rows without gaps. */
function storeSums(sums: usize, keys: i32, columns: i32, target: usize): void {
  const bytes = usize(columns) << 2
  for (let j = 0; j < keys; j++) memory.copy(target + j * bytes, sums + usize(j * wholePanels(columns)) * 4, bytes)
}
