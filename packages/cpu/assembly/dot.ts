/** Products of vectors as they lie, for rows too few to pay for packing what they are multiplied by. */
import { multiplyAdd, splat } from './vector'

/** The sums of four vectors' lanes, as one vector. */
// @ts-ignore: decorator
@inline
function sumsOfLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(
    i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23),
    i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31),
  )
  const cd = f32x4.add(
    i8x16.shuffle(c, d, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23),
    i8x16.shuffle(c, d, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31),
  )
  return f32x4.add(
    i8x16.shuffle(ab, cd, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
    i8x16.shuffle(ab, cd, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31),
  )
}

/**
 * Four rows, `rowBytes` long and apart, times one vector; lanes are rows. Two accumulators a row, so that additions need not
 * wait for each other; a vector is read from its start to its end, as processors fetch ahead.
 */
export function dotFourRows(rows: usize, vector: usize, rowBytes: usize): v128 {
  const r1 = rows + rowBytes, r2 = r1 + rowBytes, r3 = r2 + rowBytes
  let a0 = splat(0), a1 = splat(0), a2 = splat(0), a3 = splat(0)
  let b0 = splat(0), b1 = splat(0), b2 = splat(0), b3 = splat(0)
  const pairs = rowBytes & ~31
  for (let i: usize = 0; i < pairs; i += 32) {
    const x = v128.load(vector + i), y = v128.load(vector + i, 16)
    a0 = multiplyAdd(v128.load(rows + i), x, a0), b0 = multiplyAdd(v128.load(rows + i, 16), y, b0)
    a1 = multiplyAdd(v128.load(r1 + i), x, a1), b1 = multiplyAdd(v128.load(r1 + i, 16), y, b1)
    a2 = multiplyAdd(v128.load(r2 + i), x, a2), b2 = multiplyAdd(v128.load(r2 + i, 16), y, b2)
    a3 = multiplyAdd(v128.load(r3 + i), x, a3), b3 = multiplyAdd(v128.load(r3 + i, 16), y, b3)
  }
  if (pairs != rowBytes) {
    const x = v128.load(vector + pairs)
    a0 = multiplyAdd(v128.load(rows + pairs), x, a0), a1 = multiplyAdd(v128.load(r1 + pairs), x, a1)
    a2 = multiplyAdd(v128.load(r2 + pairs), x, a2), a3 = multiplyAdd(v128.load(r3 + pairs), x, a3)
  }
  return sumsOfLanes(f32x4.add(a0, b0), f32x4.add(a1, b1), f32x4.add(a2, b2), f32x4.add(a3, b3))
}

/**
 * One row times four vectors, one after the other: memory is then read in one straight line, which processors fetch ahead.
 */
export function dotFourVectors(row: usize, a: usize, b: usize, c: usize, d: usize, rowBytes: usize): v128 {
  return sumsOfLanes(products(row, a, rowBytes), products(row, b, rowBytes), products(row, c, rowBytes), products(row, d, rowBytes))
}

/** Four accumulators, so that additions need not wait for each other. */
// @ts-ignore: decorator
@inline
function products(row: usize, vector: usize, rowBytes: usize): v128 {
  const end = row + rowBytes, whole = row + (rowBytes & ~63)
  let x0 = splat(0), x1 = splat(0), x2 = splat(0), x3 = splat(0)
  for (; row < whole; row += 64, vector += 64) {
    x0 = multiplyAdd(v128.load(row), v128.load(vector), x0)
    x1 = multiplyAdd(v128.load(row, 16), v128.load(vector, 16), x1)
    x2 = multiplyAdd(v128.load(row, 32), v128.load(vector, 32), x2)
    x3 = multiplyAdd(v128.load(row, 48), v128.load(vector, 48), x3)
  }
  for (; row < end; row += 16, vector += 16) x0 = multiplyAdd(v128.load(row), v128.load(vector), x0)
  return f32x4.add(f32x4.add(x0, x1), f32x4.add(x2, x3))
}
