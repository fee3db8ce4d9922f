/** The second product: o = rescale · o + pᵀ · v, for a panel of 8 rows whose weights lie as p[key][8]. */
import { panelBytes } from './operands'
import { wholePanels } from './pack'
import { panelRow, product, rowProduct } from './product'
import * as rows from './rows'
import { keyScoresBytes } from './softmax'
import { splat } from './vector'

/** With values packed in panels of 8 columns. Of the rows only the first `rowCount` need be looked at. */
export function weighValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize, rowCount: i32): void {
  weighPanels(p, v, panelRow, panelBytes, keys, valueDim, o, rescales, rowCount)
}

/** The same with values `row` bytes and groups of 8 columns `panel` bytes apart; `rescales` of 0 start from zero. */
export function weighPanels(
  p: usize, v: usize, row: isize, panel: usize, keys: i32, valueDim: i32, o: usize, rescales: usize, rowCount: i32,
): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2, end = o + rowBytes
  if (rowCount <= 2) {
    for (; o + 128 <= end; o += 128, v += 4 * panel) {
      rowProduct(p, keyScoresBytes, v, row, panel, keys, o, rescales)
      if (rowCount == 2) rowProduct(p + 4, keyScoresBytes, v, row, panel, keys, o + rowBytes, after(rescales, 4))
    }
  }
  for (; o < end; o += 32, v += panel) {
    product(p, keyScoresBytes, v, row, keys, o, rowBytes, rescales)
    if (rowCount > 4) product(p + 16, keyScoresBytes, v, row, keys, o + 4 * rowBytes, rowBytes, after(rescales, 16))
  }
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
  weighSpecialPanels(p, v, panelRow, panelBytes, keys, valueDim, o, rescales)
}

/** The same with values as {@link weighPanels} has them. */
export function weighSpecialPanels(
  p: usize, v: usize, row: isize, panel: usize, keys: i32, valueDim: i32, o: usize, rescales: usize,
): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  if (rescales == 0) memory.fill(o, 0, rowBytes * rows.panelRows)
  for (let lane: usize = 0; lane < usize(rows.panelRows); lane++) {
    const rescale: f32 = rescales == 0 ? 1 : load<f32>(rescales + (lane << 2))
    addVisible(p + (lane << 2), keyScoresBytes, v, row, panel, keys, valueDim, o + lane * rowBytes, rescale)
  }
}

/** sums = rescale · sums + Σ weight · vector over `count` vectors in panels of `panelLength` rows, but for weights of 0. */
export function addSpecial(
  weights: usize, step: usize, panels: usize, panelLength: i32, count: i32, columns: i32, sums: usize, rescale: f32,
): void {
  addVisible(weights, step, panels, panelRow, usize(panelLength) << 5, count, columns, sums, rescale)
}

function addVisible(
  weights: usize, step: usize, v: usize, row: isize, panel: usize, count: i32, columns: i32, sums: usize, rescale: f32,
): void {
  for (let column = 0; column < columns; column++) {
    const at = sums + (usize(column) << 2)
    let element = v + usize(column >> 3) * panel + (usize(column & 7) << 2)
    let sum = load<f32>(at) * rescale
    for (let j = 0; j < count; j++, element += row) {
      const weight = load<f32>(weights + j * step)
      if (weight != 0) sum += weight * load<f32>(element)
    }
    store<f32>(at, sum)
  }
}
