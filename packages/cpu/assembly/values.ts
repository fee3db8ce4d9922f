/** The second product: o = rescale · o + pᵀ · v, for a panel of 8 rows whose weights lie as p[key][8]. */
import { tileKeys } from './operands'
import { wholePanels } from './pack'
import { product } from './product'
import * as rows from './rows'
import { keyScoresBytes } from './softmax'
import { multiplyAdd, splat } from './vector'

/** Of the rows only the first `rowCount` need be looked at. */
export function weighValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize, rowCount: i32): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  if (rowCount == 1) return weighForOneRow(p, v, keys, rowBytes, o, load<f32>(rescales))
  for (let column = 0; column < valueDim; column += 8) {
    const values = v + usize(column * tileKeys) * 4
    const outputs = o + (usize(column) << 2)
    product(p, 32, values, keys, outputs, rowBytes, rescales)
    if (rowCount > 4) product(p + 16, 32, values, keys, outputs + 4 * rowBytes, rowBytes, rescales + 16)
  }
}

/** Four panels of columns at a time keep eight accumulators busy, as four rows do otherwise. */
function weighForOneRow(p: usize, v: usize, keys: i32, rowBytes: usize, o: usize, rescale: f32): void {
  const panelBytes = usize(tileKeys) << 5
  const end = p + usize(keys) * keyScoresBytes
  const factor = splat(rescale)
  let column: usize = 0
  for (; column + 128 <= rowBytes; column += 128, v += 4 * panelBytes) {
    const out = o + column
    let a0 = f32x4.mul(factor, v128.load(out)), a1 = f32x4.mul(factor, v128.load(out, 16))
    let b0 = f32x4.mul(factor, v128.load(out, 32)), b1 = f32x4.mul(factor, v128.load(out, 48))
    let c0 = f32x4.mul(factor, v128.load(out, 64)), c1 = f32x4.mul(factor, v128.load(out, 80))
    let d0 = f32x4.mul(factor, v128.load(out, 96)), d1 = f32x4.mul(factor, v128.load(out, 112))
    for (let at = p, a = v; at < end; at += keyScoresBytes, a += 32) {
      const weight = v128.load32_splat(at)
      const b = a + panelBytes, c = b + panelBytes, d = c + panelBytes
      a0 = multiplyAdd(weight, v128.load(a), a0), a1 = multiplyAdd(weight, v128.load(a, 16), a1)
      b0 = multiplyAdd(weight, v128.load(b), b0), b1 = multiplyAdd(weight, v128.load(b, 16), b1)
      c0 = multiplyAdd(weight, v128.load(c), c0), c1 = multiplyAdd(weight, v128.load(c, 16), c1)
      d0 = multiplyAdd(weight, v128.load(d), d0), d1 = multiplyAdd(weight, v128.load(d, 16), d1)
    }
    v128.store(out, a0), v128.store(out, a1, 16)
    v128.store(out, b0, 32), v128.store(out, b1, 48)
    v128.store(out, c0, 64), v128.store(out, c1, 80)
    v128.store(out, d0, 96), v128.store(out, d1, 112)
  }
  for (; column < rowBytes; column += 32, v += panelBytes) {
    const out = o + column
    let a0 = f32x4.mul(factor, v128.load(out)), a1 = f32x4.mul(factor, v128.load(out, 16))
    for (let at = p, a = v; at < end; at += keyScoresBytes, a += 32) {
      const weight = v128.load32_splat(at)
      a0 = multiplyAdd(weight, v128.load(a), a0), a1 = multiplyAdd(weight, v128.load(a, 16), a1)
    }
    v128.store(out, a0), v128.store(out, a1, 16)
  }
}

/** The same where values may be infinite or NaN: a key of no weight is then left out, since 0 · NaN is not 0. */
export function weighSpecialValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  for (let row = 0; row < rows.panelRows; row++) {
    const rescale = load<f32>(rescales + (row << 2))
    for (let column = 0; column < valueDim; column++) {
      const at = o + row * rowBytes + (column << 2)
      let sum = load<f32>(at) * rescale
      for (let j = 0; j < keys; j++) {
        const weight = load<f32>(p + j * keyScoresBytes + (row << 2))
        if (weight != 0) sum += weight * load<f32>(v + (((column >> 3) * tileKeys + j) << 5) + ((column & 7) << 2))
      }
      store<f32>(at, sum)
    }
  }
}
