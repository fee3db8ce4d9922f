/**
 * C += A·B of row-major tiles of float64, for linear layers, whose weights are packed transposed, and the gradient. Blocks
 * of 4 rows by 2 columns keep eight sums in registers and read six numbers for eight multiply-adds; a plain loop reads two
 * for one, and waits for each sum before the next.
 */

/**
 * C [rows, columns] += A [rows, inner] · B [inner, columns]. Rows of B and C lie `width` apart, of A `innerWidth`.
 * `columns` counts in fours: widths are, and what the padding holds is nobody's.
 */
export function multiplyAdd(
  a: Float64Array,
  innerWidth: number,
  b: Float64Array,
  width: number,
  c: Float64Array,
  rows: number,
  inner: number,
  columns: number,
): void {
  const blocked = rows - (rows % 4)
  for (let i = 0; i < blocked; i += 4) {
    for (let j = 0; j < columns; j += 2) multiplyAddBlock(a, innerWidth, b, width, c, i, inner, j)
  }
  for (let i = blocked; i < rows; i++) {
    for (let j = 0; j < columns; j += 4) multiplyAddRow(a, innerWidth, b, width, c, i, inner, j)
  }
}

/** The same where B is not finite: a weight of −0 takes nothing, not even a NaN; see {@link noWeight}. */
export function multiplyAddVisible(
  a: Float64Array,
  innerWidth: number,
  b: Float64Array,
  width: number,
  c: Float64Array,
  rows: number,
  inner: number,
  columns: number,
): void {
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const weight = a[i * innerWidth + k]!
      if (Object.is(weight, noWeight)) continue
      for (let j = 0; j < columns; j++) c[i * width + j]! += weight * b[k * width + j]!
    }
  }
}

/** The weight of a key that a query does not see. Weights are never negative, so −0 is free to say it: +0 is only small. */
export const noWeight = -0

function multiplyAddBlock(
  a: Float64Array,
  innerWidth: number,
  b: Float64Array,
  width: number,
  c: Float64Array,
  i: number,
  inner: number,
  j: number,
): void {
  const c0 = i * width + j
  const c1 = c0 + width
  const c2 = c1 + width
  const c3 = c2 + width
  let s00 = c[c0]!
  let s01 = c[c0 + 1]!
  let s10 = c[c1]!
  let s11 = c[c1 + 1]!
  let s20 = c[c2]!
  let s21 = c[c2 + 1]!
  let s30 = c[c3]!
  let s31 = c[c3 + 1]!
  let a0 = i * innerWidth
  let a1 = a0 + innerWidth
  let a2 = a1 + innerWidth
  let a3 = a2 + innerWidth
  for (let k = 0, at = j; k < inner; k++, at += width) {
    const b0 = b[at]!
    const b1 = b[at + 1]!
    const r0 = a[a0++]!
    const r1 = a[a1++]!
    const r2 = a[a2++]!
    const r3 = a[a3++]!
    s00 += r0 * b0
    s01 += r0 * b1
    s10 += r1 * b0
    s11 += r1 * b1
    s20 += r2 * b0
    s21 += r2 * b1
    s30 += r3 * b0
    s31 += r3 * b1
  }
  c[c0] = s00
  c[c0 + 1] = s01
  c[c1] = s10
  c[c1 + 1] = s11
  c[c2] = s20
  c[c2 + 1] = s21
  c[c3] = s30
  c[c3 + 1] = s31
}

function multiplyAddRow(
  a: Float64Array,
  innerWidth: number,
  b: Float64Array,
  width: number,
  c: Float64Array,
  i: number,
  inner: number,
  j: number,
): void {
  const c0 = i * width + j
  let s0 = c[c0]!
  let s1 = c[c0 + 1]!
  let s2 = c[c0 + 2]!
  let s3 = c[c0 + 3]!
  let a0 = i * innerWidth
  for (let k = 0, at = j; k < inner; k++, at += width) {
    const r = a[a0++]!
    s0 += r * b[at]!
    s1 += r * b[at + 1]!
    s2 += r * b[at + 2]!
    s3 += r * b[at + 3]!
  }
  c[c0] = s0
  c[c0 + 1] = s1
  c[c0 + 2] = s2
  c[c0 + 3] = s3
}

/** Widths of tiles: whole blocks. */
export function padded(columns: number): number {
  return Math.ceil(columns / 4) * 4
}
