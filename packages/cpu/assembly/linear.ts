/**
 * output[rows, outputs] = input[rows, inputs] · weightᵀ + bias, the weights lying as [outputs, inputs].
 *
 * A unit of work is one tile of the output. Its inputs are packed 256 elements deep at a time, and against them panel after
 * panel of 8 weights, so that a panel and a block of 4 rows fit the first-level cache and all inputs the second; the
 * products of further elements are added to the tile.
 *
 * With few rows there is too little to do with each weight to pay for packing: `linearRows` reads them as they lie, once.
 */
import * as record from '../src/wasm/layer-record'
import { float32 } from '../src/wasm/record'
import { dotFourRows, dotFourVectors, interleaveRow, storeLanes } from './dot'
import { asFloats, loadElement, loadElements, storeElements } from './elements'
import { packFour, wholeBlocks, wholePanels } from './pack'
import { blockRows, panelColumns, panelRow, product } from './product'
import { startAt, take, takeFloats, taken } from './scratch'
import { splat } from './vector'

/** Elements that are packed at a time. */
const depth: i32 = 256

/** Room for four vectors, packed inputs [depth][4], one panel of weights [depth][8], the tile of outputs, and four ones. */
let vectors: usize, a: usize, b: usize, c: usize, ones: usize

function layOut(layer: usize, scratch: usize): usize {
  const tileRows = load<i32>(layer, record.tileRows), tileColumns = load<i32>(layer, record.tileColumns)
  startAt(scratch)
  vectors = takeFloats(4 * depth)
  a = takeFloats(tileRows * depth)
  b = takeFloats(panelColumns * depth)
  c = takeFloats(tileRows * tileColumns)
  ones = takeFloats(4)
  return taken()
}

export function linearScratch(layer: usize, _unit: i32, _scratch: usize): usize {
  return layOut(layer, 0)
}

export function linear(layer: usize, unit: i32, scratch: usize): void {
  layOut(layer, scratch)
  v128.store(ones, splat(1))
  const tileRows = load<i32>(layer, record.tileRows), tileColumns = load<i32>(layer, record.tileColumns)
  const columnTiles = load<i32>(layer, record.columnTiles), inputs = load<i32>(layer, record.inputs)
  const row = unit / columnTiles * tileRows, column = unit % columnTiles * tileColumns
  const rowCount = min(tileRows, load<i32>(layer, record.rows) - row)
  const columns = min(tileColumns, load<i32>(layer, record.outputs) - column)
  const cRow = usize(wholePanels(columns)) << 2
  for (let at = 0; at < inputs; at += depth) {
    const n = min(depth, inputs - at)
    const scales = at == 0 ? 0 : ones
    packVectors(layer + record.input, row, rowCount, at, n, blockRows, a)
    for (let j = 0; j < columns; j += panelColumns) {
      packVectors(layer + record.weight, column + j, min(panelColumns, columns - j), at, n, panelColumns, b)
      let block = a, sums = c + (usize(j) << 2)
      for (let i = 0; i < rowCount; i += blockRows, block += usize(n) << 4, sums += cRow << 2) {
        product(block, 16, b, panelRow, n, sums, cRow, scales)
      }
    }
  }
  if (inputs == 0) memory.fill(c, 0, cRow * rowCount)
  for (let i = 0; i < rowCount; i++) storeRow(layer, row + i, column, columns, c + i * cRow)
}

/** Rows of a matrix side by side, in blocks of 4 or in panels of 8; rows that fill up the last one are zero. */
function packVectors(matrix: usize, first: i32, count: i32, at: i32, n: i32, width: i32, target: usize): void {
  const bytes = usize(depth) << 2
  for (let i = 0; i < count; i += width, target += usize(n * width) << 2) {
    for (let half = 0; half < width; half += 4) {
      const j = i + half
      const u = vectorPart(matrix, first, j, count, at, n, vectors)
      const v = vectorPart(matrix, first, j + 1, count, at, n, vectors + bytes)
      const w = vectorPart(matrix, first, j + 2, count, at, n, vectors + 2 * bytes)
      const x = vectorPart(matrix, first, j + 3, count, at, n, vectors + 3 * bytes)
      packFour(u, v, w, x, n, target + (half << 2), usize(width) << 2)
    }
  }
}

/** Elements `at` to `at + n` of row `first + j` as float32: in place, converted into `room`, or zeros beyond the last row. */
function vectorPart(matrix: usize, first: i32, j: i32, count: i32, at: i32, n: i32, room: usize): usize {
  if (j >= count) {
    memory.fill(room, 0, usize(n) << 2)
    return room
  }
  const step = load<i32>(matrix, record.elementStride), dtype = load<i32>(matrix, record.dtype)
  const source = load<usize>(matrix) + (first + j) * load<i32>(matrix, record.rowStride) + at * step
  return asFloats(source, step, dtype, n, room)
}

/** Adds the bias and stores outputs `column` to `column + n` of one row. */
function storeRow(layer: usize, row: i32, column: i32, n: i32, sums: usize): void {
  const bias = load<usize>(layer, record.bias)
  if (bias != 0) {
    const step = load<i32>(layer, record.bias + record.elementStride), dtype = load<i32>(layer, record.bias + record.dtype)
    for (let j = 0; j < n; j++) {
      const at = sums + (usize(j) << 2)
      store<f32>(at, load<f32>(at) + loadElement(bias + (column + j) * step, dtype))
    }
  }
  const target = load<usize>(layer, record.output) + row * load<i32>(layer, record.output + record.rowStride)
  const step = load<i32>(layer, record.output + record.elementStride)
  storeElements(sums, n, target + column * step, step, load<i32>(layer, record.output + record.dtype))
}

/** The input as rows of whole vectors, two outputs' sums for 8 rows, the tile of outputs, and room for four weights. */
let x: usize, sums: usize, y: usize, room: usize

function layOutRows(layer: usize, scratch: usize): usize {
  const rowFloats = wholeBlocks(load<i32>(layer, record.inputs))
  startAt(scratch)
  x = takeFloats(record.fewRows * rowFloats)
  y = takeFloats(record.fewRows * load<i32>(layer, record.tileColumns) + 3)
  sums = takeFloats(2 * record.fewRows)
  room = takeFloats(4 * rowFloats)
  return taken()
}

export function linearRowsScratch(layer: usize, _unit: i32, _scratch: usize): usize {
  return layOutRows(layer, 0)
}

/** One tile of outputs for at most 8 rows. */
export function linearRows(layer: usize, unit: i32, scratch: usize): void {
  layOutRows(layer, scratch)
  const rowCount = load<i32>(layer, record.rows), tileColumns = load<i32>(layer, record.tileColumns)
  const column = unit * tileColumns, columns = min(tileColumns, load<i32>(layer, record.outputs) - column)
  const rowBytes = usize(wholeBlocks(load<i32>(layer, record.inputs))) << 2
  readInputs(layer, rowCount, rowBytes)
  if (rowCount == 1) multiplyOneRow(layer, column, columns, rowBytes)
  else multiplyRows(layer, column, columns, rowBytes, rowCount)
  for (let i = 0; i < rowCount; i++) storeRow(layer, i, column, columns, y + usize(i * tileColumns) * 4)
}

/** One row as it is, several interleaved by fours, as `dot.ts` reads them; what fills them up is 0. */
function readInputs(layer: usize, rowCount: i32, rowBytes: usize): void {
  if (rowCount == 1) {
    readVector(layer + record.input, 0, load<i32>(layer, record.inputs), x)
    return
  }
  memory.fill(x, 0, rowBytes * record.fewRows)
  for (let i = 0; i < rowCount; i++) {
    readVector(layer + record.input, i, load<i32>(layer, record.inputs), room)
    interleaveRow(room, rowBytes, i & 3, x + (i >> 2) * 4 * rowBytes)
  }
}

/** Four outputs at a time, a quarter of the tile apart: each weight is then in a straight line of its own. */
function multiplyOneRow(layer: usize, column: i32, columns: i32, rowBytes: usize): void {
  const last = columns - 1, apart = (columns + 3) >> 2, step = usize(apart) << 2
  const inRows = liesInRows(layer + record.weight, rowBytes)
  const first = load<usize>(layer, record.weight) + column * rowBytes
  for (let j = 0; j < apart; j++) {
    const b = min(last, j + apart), c = min(last, j + 2 * apart), d = min(last, j + 3 * apart)
    const products = inRows
      ? dotFourVectors<f32>(x, first + j * rowBytes, first + b * rowBytes, first + c * rowBytes, first + d * rowBytes, rowBytes)
      : dotFourVectors<f32>(
        x, wholeWeight(layer, column + j, room), wholeWeight(layer, column + b, room + rowBytes),
        wholeWeight(layer, column + c, room + 2 * rowBytes), wholeWeight(layer, column + d, room + 3 * rowBytes), rowBytes,
      )
    storeLanes(products, y + (usize(j) << 2), step)
  }
}

/** Whether a matrix is float32 rows of `rowBytes` without gaps. */
function liesInRows(matrix: usize, rowBytes: usize): bool {
  const withoutGaps = load<i32>(matrix, record.elementStride) == 4 && load<i32>(matrix, record.rowStride) == i32(rowBytes)
  return withoutGaps && load<i32>(matrix, record.dtype) == float32
}

/** Two outputs at a time, half the tile apart. */
function multiplyRows(layer: usize, column: i32, columns: i32, rowBytes: usize, rowCount: i32): void {
  const tileColumns = load<i32>(layer, record.tileColumns)
  const last = columns - 1, apart = (columns + 1) >> 1
  for (let j = 0; j < apart; j++) {
    const other = min(last, j + apart)
    const a = wholeWeight(layer, column + j, room), b = wholeWeight(layer, column + other, room + rowBytes)
    dotFourRows<f32>(x, a, b, rowBytes, sums, 32)
    if (rowCount > 4) dotFourRows<f32>(x + 4 * rowBytes, a, b, rowBytes, sums + 16, 32)
    for (let i = 0; i < rowCount; i++) {
      const row = y + usize(i * tileColumns) * 4, sum = sums + (i << 2)
      store<f32>(row + (usize(j) << 2), load<f32>(sum))
      store<f32>(row + (usize(other) << 2), load<f32>(sum, 32))
    }
  }
}

/** One output's weights as float32 that can be read in whole vectors: in place, or converted into `room`. */
function wholeWeight(layer: usize, output: i32, room: usize): usize {
  const weight = layer + record.weight, inputs = load<i32>(layer, record.inputs)
  const inPlace = load<i32>(weight, record.dtype) == float32 && load<i32>(weight, record.elementStride) == 4 && (inputs & 3) == 0
  if (inPlace) return load<usize>(weight) + output * load<i32>(weight, record.rowStride)
  return readVector(weight, output, inputs, room)
}

/** Row `number` of a matrix of `n` columns as float32, filled up with zeros to whole vectors. */
function readVector(matrix: usize, number: i32, n: i32, target: usize): usize {
  const source = load<usize>(matrix) + number * load<i32>(matrix, record.rowStride)
  loadElements(source, load<i32>(matrix, record.elementStride), load<i32>(matrix, record.dtype), n, target)
  for (let i = n; i < wholeBlocks(n); i++) store<f32>(target + (usize(i) << 2), 0)
  return target
}
