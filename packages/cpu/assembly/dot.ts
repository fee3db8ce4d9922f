/**
 * Products of a few rows with vectors as they lie, for rows too few to pay for packing what they are multiplied by. A lane
 * is one of four neighbours of an element, so a sum's four lanes are added up at the end.
 */
import { loadFour } from './stored'
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
 * Puts row `lane` of four among them, as `dotFourRows` reads them: four elements of each row in turn. `source` has whole
 * vectors.
 */
export function interleaveRow(source: usize, rowBytes: usize, lane: i32, target: usize): void {
  target += usize(lane) << 4
  for (let i: usize = 0; i < rowBytes; i += 16, target += 64) v128.store(target, v128.load(source + i))
}

/**
 * Four interleaved rows times two vectors, `bytes` long: six reads for eight multiply-adds. Lanes of the results, at
 * `target` and `step` bytes on, are rows.
 */
export function dotFourRows<T>(rows: usize, a: usize, b: usize, bytes: usize, target: usize, step: usize): void {
  let a0 = splat(0), a1 = splat(0), a2 = splat(0), a3 = splat(0)
  let b0 = splat(0), b1 = splat(0), b2 = splat(0), b3 = splat(0)
  const four = 4 * sizeof<T>()
  for (const end = a + bytes; a < end; a += four, b += four, rows += 64) {
    const x = loadFour<T>(a), y = loadFour<T>(b)
    let row = v128.load(rows)
    a0 = multiplyAdd(row, x, a0), b0 = multiplyAdd(row, y, b0), row = v128.load(rows, 16)
    a1 = multiplyAdd(row, x, a1), b1 = multiplyAdd(row, y, b1), row = v128.load(rows, 32)
    a2 = multiplyAdd(row, x, a2), b2 = multiplyAdd(row, y, b2), row = v128.load(rows, 48)
    a3 = multiplyAdd(row, x, a3), b3 = multiplyAdd(row, y, b3)
  }
  v128.store(target, sumsOfLanes(a0, a1, a2, a3))
  v128.store(target + step, sumsOfLanes(b0, b1, b2, b3))
}

/**
 * Two rows, one after the other, times four vectors of `n` elements: six reads for eight multiply-adds. Lanes of the results, at
 * `target` and `step` bytes on, are vectors.
 */
// @ts-ignore: decorator
@inline
export function dotTwoRows(rows: usize, a: usize, b: usize, c: usize, d: usize, n: i32, target: usize, step: usize): void {
  let a0 = splat(0), b0 = splat(0), c0 = splat(0), d0 = splat(0)
  let a1 = splat(0), b1 = splat(0), c1 = splat(0), d1 = splat(0)
  const rowBytes = usize(n) << 2
  for (const end = rows + rowBytes; rows < end; rows += 16, a += 16, b += 16, c += 16, d += 16) {
    const x = v128.load(rows), y = v128.load(rows + rowBytes)
    let vector = v128.load(a)
    a0 = multiplyAdd(x, vector, a0), a1 = multiplyAdd(y, vector, a1), vector = v128.load(b)
    b0 = multiplyAdd(x, vector, b0), b1 = multiplyAdd(y, vector, b1), vector = v128.load(c)
    c0 = multiplyAdd(x, vector, c0), c1 = multiplyAdd(y, vector, c1), vector = v128.load(d)
    d0 = multiplyAdd(x, vector, d0), d1 = multiplyAdd(y, vector, d1)
  }
  v128.store(target, sumsOfLanes(a0, b0, c0, d0))
  v128.store(target + step, sumsOfLanes(a1, b1, c1, d1))
}

/** One row times four vectors, side by side, so that each of its elements is read once. */
export function dotFourVectors<T>(row: usize, a: usize, b: usize, c: usize, d: usize, bytes: usize): v128 {
  let a0 = splat(0), b0 = splat(0), c0 = splat(0), d0 = splat(0)
  let a1 = splat(0), b1 = splat(0), c1 = splat(0), d1 = splat(0)
  const four = 4 * sizeof<T>(), end = a + bytes, whole = a + (bytes & -(2 * four))
  for (; a < whole; row += 32, a += 2 * four, b += 2 * four, c += 2 * four, d += 2 * four) {
    const x = v128.load(row), y = v128.load(row, 16)
    a0 = multiplyAdd(x, loadFour<T>(a), a0), a1 = multiplyAdd(y, loadFour<T>(a + four), a1)
    b0 = multiplyAdd(x, loadFour<T>(b), b0), b1 = multiplyAdd(y, loadFour<T>(b + four), b1)
    c0 = multiplyAdd(x, loadFour<T>(c), c0), c1 = multiplyAdd(y, loadFour<T>(c + four), c1)
    d0 = multiplyAdd(x, loadFour<T>(d), d0), d1 = multiplyAdd(y, loadFour<T>(d + four), d1)
  }
  if (a < end) {
    const x = v128.load(row)
    a0 = multiplyAdd(x, loadFour<T>(a), a0), b0 = multiplyAdd(x, loadFour<T>(b), b0)
    c0 = multiplyAdd(x, loadFour<T>(c), c0), d0 = multiplyAdd(x, loadFour<T>(d), d0)
  }
  return sumsOfLanes(f32x4.add(a0, a1), f32x4.add(b0, b1), f32x4.add(c0, c1), f32x4.add(d0, d1))
}

/** Each lane to a place of its own, `step` bytes apart. */
// @ts-ignore: decorator
@inline
export function storeLanes(lanes: v128, target: usize, step: usize): void {
  v128.store32_lane(target, lanes, 0)
  v128.store32_lane(target + step, lanes, 1)
  v128.store32_lane(target + 2 * step, lanes, 2)
  v128.store32_lane(target + 3 * step, lanes, 3)
}
