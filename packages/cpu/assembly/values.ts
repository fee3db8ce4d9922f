/** The second product: o = rescale · o + pᵀ · v, for a panel of 8 rows whose weights lie as p[key][8]. */
import { panelBytes } from './operands'
import { wholePanels } from './pack'
import { panelRow, product, rowProduct } from './product'
import * as rows from './rows'
import { keyScoresBytes } from './softmax'
import { multiplyAdd, splat } from './vector'

/** Where the values lie: the first, and bytes from one to the next, and between groups of 8 columns. */
let values: usize, valueRow: isize, valuePanel: usize

/** What is weighed from now on. */
export function ofValues(at: usize, row: isize, panel: usize): void {
  values = at, valueRow = row, valuePanel = panel
}

/** With values packed in panels of 8 columns. Of the rows only the first `rowCount` need be looked at. */
export function weighValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize, rowCount: i32): void {
  ofValues(v, panelRow, panelBytes)
  weighPanels(p, keys, valueDim, o, rescales, rowCount)
}

/** With values as {@link ofValues} has said; `rescales` of 0 start from zero. */
export function weighPanels(p: usize, keys: i32, valueDim: i32, o: usize, rescales: usize, rowCount: i32): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  if (rowCount > 6) weighEight(p, keys, rowBytes, o, rescales)
  else {
    weighFour(p, keys, rowBytes, o, rescales, rowCount)
    if (rowCount > 4) weighFour(p + 16, keys, rowBytes, o + 4 * rowBytes, after(rescales, 16), rowCount - 4)
  }
}

function weighEight(p: usize, keys: i32, rowBytes: usize, o: usize, rescales: usize): void {
  let v = values
  for (const end = o + rowBytes; o < end; o += 32, v += valuePanel) {
    product(p, keyScoresBytes, v, valueRow, keys, o, rowBytes, rescales)
    product(p + 16, keyScoresBytes, v, valueRow, keys, o + 4 * rowBytes, rowBytes, after(rescales, 16))
  }
}

/** At most four rows, of which one or two are taken for themselves. */
function weighFour(p: usize, keys: i32, rowBytes: usize, o: usize, rescales: usize, rowCount: i32): void {
  let v = values
  const end = o + rowBytes
  if (rowCount <= 2) {
    for (; o + 128 <= end; o += 128, v += 4 * valuePanel) {
      rowProduct(p, keyScoresBytes, v, valueRow, valuePanel, keys, o, rescales)
      if (rowCount == 2) rowProduct(p + 4, keyScoresBytes, v, valueRow, valuePanel, keys, o + rowBytes, after(rescales, 4))
    }
  }
  for (; o < end; o += 32, v += valuePanel) product(p, keyScoresBytes, v, valueRow, keys, o, rowBytes, rescales)
}

/** So many bytes on, if there are any. */
// @ts-ignore: decorator
@inline
function after(rescales: usize, bytes: usize): usize {
  return rescales == 0 ? 0 : rescales + bytes
}

/** Whether any of the values, of a multiple of 4 columns, is infinite or NaN. */
export function anySpecial(v: usize, row: isize, keys: i32, valueDim: i32): bool {
  const bytes = usize(valueDim) << 2
  let zeros = splat(0)
  for (let j = 0; j < keys; j++, v += row) {
    for (let i: usize = 0; i < bytes; i += 16) zeros = f32x4.add(zeros, f32x4.mul(v128.load(v + i), splat(0)))
  }
  return v128.any_true(f32x4.ne(zeros, zeros))
}

/** The same where values may be infinite or NaN: a key of no weight is then left out, since 0 · NaN is not 0. */
export function weighSpecialValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize): void {
  ofValues(v, panelRow, panelBytes)
  weighSpecialPanels(p, keys, valueDim, o, rescales)
}

/** The same with values as {@link ofValues} has said. */
export function weighSpecialPanels(p: usize, keys: i32, valueDim: i32, o: usize, rescales: usize): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  if (rescales == 0) memory.fill(o, 0, rowBytes * rows.panelRows)
  for (let lane: usize = 0; lane < usize(rows.panelRows); lane++, p += 4, o += rowBytes) {
    const rescale: f32 = rescales == 0 ? 1 : load<f32>(rescales + (lane << 2))
    for (let column: usize = 0; column < usize(valueDim); column += 4) {
      addVisible(p, keyScoresBytes, inPanels(values, valuePanel, column), valueRow, keys, o + (column << 2), rescale)
    }
  }
}

/** sums = sums + Σ weight · vector over `count` vectors in panels of `panelLength` rows, but for weights of 0. */
export function addSpecial(weights: usize, step: usize, panels: usize, panelLength: i32, count: i32, columns: i32, sums: usize): void {
  for (let column: usize = 0; column < usize(columns); column += 4) {
    addVisible(weights, step, inPanels(panels, usize(panelLength) << 5, column), panelRow, count, sums + (column << 2), 1)
  }
}

/** Where a column begins, with groups of 8 columns `panel` bytes apart. */
// @ts-ignore: decorator
@inline
function inPanels(v: usize, panel: usize, column: usize): usize {
  return v + (column >> 3) * panel + ((column & 7) << 2)
}

/** sum = rescale · sum + Σ weight · v for four columns, in the order and with the rounding that `product` has. */
function addVisible(weights: usize, step: usize, v: usize, row: isize, count: i32, sum: usize, rescale: f32): void {
  let x = f32x4.mul(splat(rescale), v128.load(sum))
  for (let j = 0; j < count; j++, v += row, weights += step) {
    const weight = load<f32>(weights)
    if (weight != 0) x = multiplyAdd(splat(weight), v128.load(v), x)
  }
  v128.store(sum, x)
}
