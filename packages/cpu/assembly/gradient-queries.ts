/** The gradient's first pass: for each tile of queries, over the keys they see, dQ = scale · Σ ds · k. */
import * as record from '../src/wasm/record'
import { describeGradientPanel, packOutputGradients, pairGradients, pairTiles } from './gradient'
import { packKeyPanels, packKeys, packQueries, packValueBlocks, tileKeys, vectorBytes } from './operands'
import { wholePanels } from './pack'
import { int, vectorOf } from './problem'
import * as rows from './rows'
import { startAt, take, takeFloats, taken } from './scratch'
import { anySees, empty, tileClass } from './tile-map'
import { weighSpecialValues, weighValues } from './values'
import { splat } from './vector'

/** Panel descriptions, room for four vectors, queries, output gradients, sums, keys in blocks and in panels, values, pairs. */
let panelsAt: usize, vectors: usize, q: usize, dO: usize, dq: usize, k: usize, kPanels: usize, v: usize, tiles: usize
let ones: usize, registers: usize

function layOut(problem: usize, scratch: usize): usize {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  const tileRows = int(problem, record.tileRows)
  startAt(scratch)
  panelsAt = take((usize(tileRows) / rows.panelRows) * rows.panelBytes)
  vectors = take(4 * vectorBytes(problem))
  q = takeFloats(tileRows * headDim)
  dO = takeFloats(tileRows * valueDim)
  dq = takeFloats(tileRows * wholePanels(headDim))
  k = takeFloats(tileKeys * headDim)
  kPanels = takeFloats(tileKeys * wholePanels(headDim))
  v = takeFloats(tileKeys * valueDim)
  tiles = takeFloats(pairTiles * tileKeys * rows.panelRows)
  ones = takeFloats(rows.panelRows)
  registers = take(int(problem, record.registerBytes))
  return taken()
}

export function gradientQueriesScratch(problem: usize, _unit: i32, _scratch: usize): usize {
  return layOut(problem, 0)
}

/** One query tile of one key head of one batch entry; see `prefill.ts`. */
export function gradientQueries(problem: usize, unit: i32, scratch: usize): void {
  layOut(problem, scratch)
  v128.store(ones, splat(1))
  v128.store(ones, splat(1), 16)
  const tileCount = int(problem, record.tiles), keyHeads = int(problem, record.keyHeads)
  const sequence = unit / tileCount, tile = tileCount - 1 - unit % tileCount
  const batch = sequence / keyHeads, keyHead = sequence % keyHeads
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  const first = tile * int(problem, record.tileRows)
  const end = min(first + int(problem, record.tileRows), int(problem, record.queryLength) * int(problem, record.group))
  const panels = (end - first + rows.panelRows - 1) / rows.panelRows
  const queryBytes = usize(headDim) << 5, outputBytes = usize(valueDim) << 5, sumBytes = usize(wholePanels(headDim)) << 5

  let firstKey = i32.MAX_VALUE, endKey = 0
  for (let i = 0; i < panels; i++) {
    const panel = panelsAt + i * rows.panelBytes
    describeGradientPanel(problem, batch, keyHead, first + i * rows.panelRows, end, panel)
    packQueries(problem, batch, panel, q + i * queryBytes, vectors)
    packOutputGradients(problem, batch, panel, dO + i * outputBytes, vectors)
    firstKey = min(firstKey, load<i32>(panel, rows.lowestFirst))
    endKey = max(endKey, load<i32>(panel, rows.highestEnd))
  }
  memory.fill(dq, 0, panels * sumBytes)
  for (let at = firstKey & -tileKeys; at < endKey; at += tileKeys) {
    const keys = min(tileKeys, endKey - at)
    if (!anySees(problem, panelsAt, panels, at, at + keys)) continue
    packKeys(problem, batch, keyHead, at, keys, k, vectors)
    packValueBlocks(problem, batch, keyHead, at, keys, v, vectors)
    const special = packKeyPanels(problem, batch, keyHead, at, keys, kPanels, vectors)
    for (let i = 0; i < panels; i++) {
      const panel = panelsAt + i * rows.panelBytes
      if (rows.seesNone(panel, at, at + keys) || tileClass(problem, panel, at) == empty) continue
      pairGradients(problem, panel, at, keys, k, v, q + i * queryBytes, dO + i * outputBytes, tiles, registers)
      const ds = tiles + usize(tileKeys * rows.panelRows) * 4
      if (special) weighSpecialValues(ds, kPanels, keys, headDim, dq + i * sumBytes, ones)
      else weighValues(ds, kPanels, keys, headDim, dq + i * sumBytes, ones, rows.panelRows)
    }
  }
  for (let row = first; row < end; row++) storeRow(problem, batch, keyHead, row, dq + usize((row - first) * wholePanels(headDim)) * 4)
}

/** `output` of the record is dQ: float32 without gaps in a vector. */
function storeRow(problem: usize, batch: i32, keyHead: i32, number: i32, sums: usize): void {
  const group = int(problem, record.group), headDim = int(problem, record.headDim)
  const target = vectorOf(problem, record.output, batch, keyHead * group + number % group, number / group)
  const scale = f32(load<f64>(problem, record.scale))
  for (let i: usize = 0; i < usize(headDim) << 2; i += 4) store<f32>(target + i, scale * load<f32>(sums + i))
}
