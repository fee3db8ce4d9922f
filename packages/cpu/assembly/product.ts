/**
 * The one product of matrices: C[4 × 8] from A[4 × n] · B[n × 8]. Weighted values, projections and gradients are all
 * made of it; they differ in what they pack. (Scores have their own, which fits itself to few rows: score-panel.ts.)
 *
 * Its eight accumulators, two vectors of B and one broadcast element of A stay in registers; each step reads six times
 * for eight multiply-adds. B is mostly a *panel*, n rows of 8 elements without gaps, so that reading it is one straight
 * line. A is stored by columns of 4. The loop is not unrolled: engines then fetch ahead more than fits their
 * registers. Where only a row is wanted, the eight accumulators are put to other use.
 */
import { loadFour } from './stored'
import { multiplyAdd, splat } from './vector'

/** Rows of A in a block. */
export const blockRows: i32 = 4
/** Columns of a panel. */
export const panelColumns: i32 = 8
/** Bytes of a panel's row. */
export const panelRow: i32 = 32

/**
 * C = scale · C + A · B, where `scales` points at one f32 for each row of C; 0 starts from zero without reading C.
 * `step` is the bytes between A's columns, `bRow` and `cRow` those between B's and C's rows. B may be
 * of any dtype that `stored.ts` reads.
 */
// @ts-ignore: decorator
@inline
export function product<T = f32>(a: usize, step: usize, b: usize, bRow: isize, n: i32, c: usize, cRow: usize, scales: usize): void {
  const c1 = c + cRow
  const c2 = c1 + cRow
  const c3 = c2 + cRow
  let x00 = splat(0), x01 = splat(0), x10 = splat(0), x11 = splat(0)
  let x20 = splat(0), x21 = splat(0), x30 = splat(0), x31 = splat(0)
  let x: v128, b0: v128, b1: v128
  if (scales != 0) {
    x = v128.load32_splat(scales), x00 = f32x4.mul(x, v128.load(c)), x01 = f32x4.mul(x, v128.load(c, 16))
    x = v128.load32_splat(scales, 4), x10 = f32x4.mul(x, v128.load(c1)), x11 = f32x4.mul(x, v128.load(c1, 16))
    x = v128.load32_splat(scales, 8), x20 = f32x4.mul(x, v128.load(c2)), x21 = f32x4.mul(x, v128.load(c2, 16))
    x = v128.load32_splat(scales, 12), x30 = f32x4.mul(x, v128.load(c3)), x31 = f32x4.mul(x, v128.load(c3, 16))
  }
  const end = a + usize(n) * step
  while (a < end) {
    b0 = loadFour<T>(b), b1 = isFloat<T>() ? v128.load(b, 16) : loadFour<T>(b + 4 * sizeof<T>())
    x = v128.load32_splat(a), x00 = multiplyAdd(x, b0, x00), x01 = multiplyAdd(x, b1, x01)
    x = v128.load32_splat(a, 4), x10 = multiplyAdd(x, b0, x10), x11 = multiplyAdd(x, b1, x11)
    x = v128.load32_splat(a, 8), x20 = multiplyAdd(x, b0, x20), x21 = multiplyAdd(x, b1, x21)
    x = v128.load32_splat(a, 12), x30 = multiplyAdd(x, b0, x30), x31 = multiplyAdd(x, b1, x31)
    a += step
    b += bRow
  }
  v128.store(c, x00), v128.store(c, x01, 16)
  v128.store(c1, x10), v128.store(c1, x11, 16)
  v128.store(c2, x20), v128.store(c2, x21, 16)
  v128.store(c3, x30), v128.store(c3, x31, 16)
}

/** C[1 × 32] = scale · C + A · B, for a single row. The 32 columns of B are four panels, `bPanel` bytes apart. */
export function rowProduct(a: usize, step: usize, b: usize, bRow: isize, bPanel: usize, n: i32, c: usize, scales: usize): void {
  const bPanel2 = 2 * bPanel, bPanel3 = 3 * bPanel
  let x0 = splat(0), x1 = splat(0), x2 = splat(0), x3 = splat(0)
  let x4 = splat(0), x5 = splat(0), x6 = splat(0), x7 = splat(0)
  let x: v128
  if (scales != 0) {
    x = v128.load32_splat(scales)
    x0 = f32x4.mul(x, v128.load(c)), x1 = f32x4.mul(x, v128.load(c, 16))
    x2 = f32x4.mul(x, v128.load(c, 32)), x3 = f32x4.mul(x, v128.load(c, 48))
    x4 = f32x4.mul(x, v128.load(c, 64)), x5 = f32x4.mul(x, v128.load(c, 80))
    x6 = f32x4.mul(x, v128.load(c, 96)), x7 = f32x4.mul(x, v128.load(c, 112))
  }
  for (const end = a + usize(n) * step; a < end; a += step, b += bRow) {
    x = v128.load32_splat(a)
    x0 = multiplyAdd(x, v128.load(b), x0), x1 = multiplyAdd(x, v128.load(b, 16), x1)
    x2 = multiplyAdd(x, v128.load(b + bPanel), x2), x3 = multiplyAdd(x, v128.load(b + bPanel, 16), x3)
    x4 = multiplyAdd(x, v128.load(b + bPanel2), x4), x5 = multiplyAdd(x, v128.load(b + bPanel2, 16), x5)
    x6 = multiplyAdd(x, v128.load(b + bPanel3), x6), x7 = multiplyAdd(x, v128.load(b + bPanel3, 16), x7)
  }
  v128.store(c, x0), v128.store(c, x1, 16), v128.store(c, x2, 32), v128.store(c, x3, 48)
  v128.store(c, x4, 64), v128.store(c, x5, 80), v128.store(c, x6, 96), v128.store(c, x7, 112)
}
