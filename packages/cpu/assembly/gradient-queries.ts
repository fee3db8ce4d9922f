/** The gradient's first pass: for each tile of queries, over the keys they see, dQ = scale · Σ ds · k. */
import * as record from '../src/wasm/record'
import { ds, layOutPairs, packTile, pairGradients, vectors } from './gradient'
import * as tile from './gradient-rows'
import { packKeyPanels, tileKeys } from './operands'
import { wholePanels } from './pack'
import { int, vectorOf } from './problem'
import * as rows from './rows'
import { startAt, takeFloats, taken } from './scratch'
import { anySees, empty, tileClass } from './tile-map'
import { weighSpecialValues, weighValues } from './values'
import { splat } from './vector'

/** Sums of each row, the keys once more in panels, and eight ones. */
let dq: usize, kPanels: usize, ones: usize

function layOut(problem: usize, scratch: usize): usize {
  const headDim = wholePanels(int(problem, record.headDim)), tileRows = int(problem, record.tileRows)
  startAt(scratch)
  tile.layOutQueryTile(problem, tileRows)
  layOutPairs(problem)
  dq = takeFloats(tileRows * headDim)
  kPanels = takeFloats(tileKeys * headDim)
  ones = takeFloats(rows.panelRows)
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
  const sequence = unit / tileCount, batch = sequence / keyHeads, keyHead = sequence % keyHeads
  const first = (tileCount - 1 - unit % tileCount) * int(problem, record.tileRows)
  const end = min(first + int(problem, record.tileRows), int(problem, record.queryLength) * int(problem, record.group))
  tile.packQueryTile(problem, batch, keyHead, first, end, vectors)
  const rowBytes = usize(wholePanels(int(problem, record.headDim))) << 2
  memory.fill(dq, 0, usize(tile.panels * rows.panelRows) * rowBytes)
  for (let at = tile.firstKey & -tileKeys; at < tile.endKey; at += tileKeys) {
    const keys = min(tileKeys, tile.endKey - at)
    if (anySees(problem, tile.panelsAt, tile.panels, at, at + keys)) addKeys(problem, batch, keyHead, at, keys)
  }
  for (let row = first; row < end; row++) storeRow(problem, batch, keyHead, row, dq + usize(row - first) * rowBytes)
}

/** dq += ds · k of one tile of keys. */
function addKeys(problem: usize, batch: i32, keyHead: i32, at: i32, keys: i32): void {
  const headDim = int(problem, record.headDim)
  const special = packKeyPanels(problem, batch, keyHead, at, keys, kPanels, vectors)
  packTile(problem, batch, keyHead, at, keys)
  for (let i = 0; i < tile.panels; i++) {
    const panel = tile.panelsAt + i * rows.panelBytes
    if (rows.seesNone(panel, at, at + keys) || tileClass(problem, panel, at) == empty) continue
    pairGradients(problem, panel, at, keys, tile.queriesOf(problem, i), tile.outputGradientsOf(problem, i))
    const sums = dq + i * (usize(wholePanels(headDim)) << 5)
    if (special) weighSpecialValues(ds, kPanels, keys, headDim, sums, ones)
    else weighValues(ds, kPanels, keys, headDim, sums, ones, rows.panelRows)
  }
}

/** `output` of the record is dQ: float32 without gaps in a vector. */
function storeRow(problem: usize, batch: i32, keyHead: i32, number: i32, sums: usize): void {
  const group = int(problem, record.group), headDim = int(problem, record.headDim)
  const target = vectorOf(problem, record.output, batch, keyHead * group + number % group, number / group)
  const scale = f32(load<f64>(problem, record.scale))
  for (let i: usize = 0; i < usize(headDim) << 2; i += 4) store<f32>(target + i, scale * load<f32>(sums + i))
}
