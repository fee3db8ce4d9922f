/** The second product: o = rescale · o + pᵀ · v, for a panel of 8 rows whose weights lie as p[key][8]. */
import { tileKeys } from './operands'
import { wholePanels } from './pack'
import { panelRow, product } from './product'
import * as rows from './rows'
import { keyScoresBytes } from './softmax'
import { multiplyAdd, splat } from './vector'

/** Of the rows only the first `rowCount` need be looked at. */
export function weighValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize, rowCount: i32): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  for (let column = 0; column < valueDim; column += 8) {
    const values = v + usize(column * tileKeys) * 4
    const outputs = o + (usize(column) << 2)
    product(p, 32, values, panelRow, keys, outputs, rowBytes, rescales)
    if (rowCount > 4) product(p + 16, 32, values, panelRow, keys, outputs + 4 * rowBytes, rowBytes, rescales + 16)
  }
}

/** The same with values as rows of `columns` (a multiple of 8) elements, `stride` bytes apart. */
export function weighRows(
  p: usize, v: usize, stride: isize, keys: i32, columns: i32, o: usize, rescales: usize, rowCount: i32,
): void {
  const rowBytes = usize(columns) << 2
  if (rowCount == 1) return weighForOneRow(p, v, stride, keys, rowBytes, o, load<f32>(rescales))
  for (let column: usize = 0; column < rowBytes; column += 32) {
    product(p, 32, v + column, stride, keys, o + column, rowBytes, rescales)
    if (rowCount > 4) product(p + 16, 32, v + column, stride, keys, o + column + 4 * rowBytes, rowBytes, rescales + 16)
  }
}

/** 32 columns at a time keep eight accumulators busy, as four rows do otherwise. */
function weighForOneRow(p: usize, v: usize, stride: isize, keys: i32, rowBytes: usize, o: usize, rescale: f32): void {
  const end = p + usize(keys) * keyScoresBytes
  const factor = splat(rescale)
  let column: usize = 0
  for (; column + 128 <= rowBytes; column += 128) {
    const out = o + column
    let x0 = f32x4.mul(factor, v128.load(out)), x1 = f32x4.mul(factor, v128.load(out, 16))
    let x2 = f32x4.mul(factor, v128.load(out, 32)), x3 = f32x4.mul(factor, v128.load(out, 48))
    let x4 = f32x4.mul(factor, v128.load(out, 64)), x5 = f32x4.mul(factor, v128.load(out, 80))
    let x6 = f32x4.mul(factor, v128.load(out, 96)), x7 = f32x4.mul(factor, v128.load(out, 112))
    for (let at = p, row = v + column; at < end; at += keyScoresBytes, row += stride) {
      const weight = v128.load32_splat(at)
      x0 = multiplyAdd(weight, v128.load(row), x0), x1 = multiplyAdd(weight, v128.load(row, 16), x1)
      x2 = multiplyAdd(weight, v128.load(row, 32), x2), x3 = multiplyAdd(weight, v128.load(row, 48), x3)
      x4 = multiplyAdd(weight, v128.load(row, 64), x4), x5 = multiplyAdd(weight, v128.load(row, 80), x5)
      x6 = multiplyAdd(weight, v128.load(row, 96), x6), x7 = multiplyAdd(weight, v128.load(row, 112), x7)
    }
    v128.store(out, x0), v128.store(out, x1, 16), v128.store(out, x2, 32), v128.store(out, x3, 48)
    v128.store(out, x4, 64), v128.store(out, x5, 80), v128.store(out, x6, 96), v128.store(out, x7, 112)
  }
  for (; column < rowBytes; column += 32) {
    const out = o + column
    let x0 = f32x4.mul(factor, v128.load(out)), x1 = f32x4.mul(factor, v128.load(out, 16))
    for (let at = p, row = v + column; at < end; at += keyScoresBytes, row += stride) {
      const weight = v128.load32_splat(at)
      x0 = multiplyAdd(weight, v128.load(row), x0), x1 = multiplyAdd(weight, v128.load(row, 16), x1)
    }
    v128.store(out, x0), v128.store(out, x1, 16)
  }
}

/** The same where values may be infinite or NaN: a key of no weight is then left out, since 0 · NaN is not 0. */
export function weighSpecialValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  for (let row: usize = 0; row < usize(rows.panelRows); row++) {
    addSpecial(p + (row << 2), keyScoresBytes, v, tileKeys, keys, valueDim, o + row * rowBytes, load<f32>(rescales + (row << 2)))
  }
}

/** sums = rescale · sums + Σ weight · vector over `count` vectors in panels of `panelLength` rows, but for weights of 0. */
export function addSpecial(
  weights: usize, step: usize, panels: usize, panelLength: i32, count: i32, columns: i32, sums: usize, rescale: f32,
): void {
  for (let column = 0; column < columns; column++) {
    const at = sums + (usize(column) << 2)
    const elements = panels + (usize((column >> 3) * panelLength) << 5) + (usize(column & 7) << 2)
    let sum = load<f32>(at) * rescale
    for (let j = 0; j < count; j++) {
      const weight = load<f32>(weights + j * step)
      if (weight != 0) sum += weight * load<f32>(elements + (usize(j) << 5))
    }
    store<f32>(at, sum)
  }
}
