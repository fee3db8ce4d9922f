/**
 * The rows of the gradient: what is known of each beforehand, and tiles of them, cut into panels of 8 as in `rows.ts`, with
 * their queries and output gradients.
 */
import * as record from '../src/wasm/record'
import { loadElement, loadElements } from './elements'
import { packQueries, vectorBytes } from './operands'
import { packFour } from './pack'
import { int, pointer, vectorOf } from './problem'
import * as rows from './rows'
import { take, takeFloats } from './scratch'

/** What the online softmax keeps of a row is known here from the start: log-sum-exp and D. */
export const logSums: usize = rows.maxima
export const outputProducts: usize = rows.sums

/** D of the rows of one head of one batch entry, float32 [batch, queryHeads, queryLength] at `partials`. */
export function gradientRows(problem: usize, unit: i32, _scratch: usize): void {
  const heads = int(problem, record.queryHeads), length = int(problem, record.queryLength), valueDim = int(problem, record.valueDim)
  const step = int(problem, record.dOutput + record.elementStride), dtype = int(problem, record.dOutput + record.dtype)
  const outputStep = int(problem, record.forwardOutput + record.elementStride)
  const outputDtype = int(problem, record.forwardOutput + record.dtype)
  let target = pointer(problem, record.partials) + (usize(unit * length) << 2)
  for (let row = 0; row < length; row++, target += 4) {
    let gradient = vectorOf(problem, record.dOutput, unit / heads, unit % heads, row)
    let output = vectorOf(problem, record.forwardOutput, unit / heads, unit % heads, row)
    let sum: f64 = 0
    for (let c = 0; c < valueDim; c++, gradient += step, output += outputStep) {
      sum += f64(loadElement(gradient, dtype)) * f64(loadElement(output, outputDtype))
    }
    store<f32>(target, f32(sum))
  }
}

/** Describes a panel for the gradient. */
export function describeGradientPanel(problem: usize, batch: i32, keyHead: i32, first: i32, end: i32, panel: usize): void {
  rows.describePanel(problem, batch, keyHead, first, end, panel)
  const heads = int(problem, record.queryHeads), length = int(problem, record.queryLength)
  for (let lane = 0; lane < rows.panelRows; lane++) {
    const at = panel + (lane << 2)
    const number = usize((batch * heads + load<i32>(at, rows.heads)) * length + load<i32>(at, rows.indices)) << 2
    store<f32>(at, load<f32>(pointer(problem, record.lse) + number), logSums)
    store<f32>(at, load<f32>(pointer(problem, record.partials) + number), outputProducts)
  }
}

/** The gradient of the output of one of a panel's rows. */
export function readOutputGradient(problem: usize, batch: i32, panel: usize, lane: i32, target: usize): void {
  const at = panel + (lane << 2)
  const source = vectorOf(problem, record.dOutput, batch, load<i32>(at, rows.heads), load<i32>(at, rows.indices))
  const step = int(problem, record.dOutput + record.elementStride), dtype = int(problem, record.dOutput + record.dtype)
  loadElements(source, step, dtype, int(problem, record.valueDim), target)
}

/** The panel's output gradients as [valueDim][8]. `vectors` is room for four. */
export function packOutputGradients(problem: usize, batch: i32, panel: usize, target: usize, vectors: usize): void {
  const bytes = vectorBytes(problem), valueDim = int(problem, record.valueDim)
  for (let half = 0; half < rows.panelRows; half += 4) {
    for (let lane = 0; lane < 4; lane++) readOutputGradient(problem, batch, panel, half + lane, vectors + lane * bytes)
    packFour(vectors, vectors + bytes, vectors + 2 * bytes, vectors + 3 * bytes, valueDim, target + (half << 2), 32)
  }
}

/** A query tile: its panels' descriptions, queries and output gradients; how many panels; which keys any of its rows may see. */
export let panelsAt: usize
let queriesAt: usize, outputGradientsAt: usize
export let panels: i32, firstKey: i32, endKey: i32

export function layOutQueryTile(problem: usize, tileRows: i32): void {
  panelsAt = take((usize(tileRows) / rows.panelRows) * rows.panelBytes)
  queriesAt = takeFloats(tileRows * int(problem, record.headDim))
  outputGradientsAt = takeFloats(tileRows * int(problem, record.valueDim))
}

/** Rows `first` to `end` of one key head of one batch entry; see `prefill.ts`. */
export function packQueryTile(problem: usize, batch: i32, keyHead: i32, first: i32, end: i32, vectors: usize): void {
  panels = (end - first + rows.panelRows - 1) / rows.panelRows
  firstKey = i32.MAX_VALUE, endKey = 0
  for (let i = 0; i < panels; i++) {
    const panel = panelsAt + i * rows.panelBytes
    describeGradientPanel(problem, batch, keyHead, first + i * rows.panelRows, end, panel)
    packQueries(problem, batch, panel, queriesOf(problem, i), vectors)
    packOutputGradients(problem, batch, panel, outputGradientsOf(problem, i), vectors)
    firstKey = min(firstKey, load<i32>(panel, rows.lowestFirst))
    endKey = max(endKey, load<i32>(panel, rows.highestEnd))
  }
}

/** Of one of the tile's panels. */
export function queriesOf(problem: usize, panel: i32): usize {
  return queriesAt + panel * (usize(int(problem, record.headDim)) << 5)
}

export function outputGradientsOf(problem: usize, panel: i32): usize {
  return outputGradientsAt + panel * (usize(int(problem, record.valueDim)) << 5)
}
