/**
 * Weighted sums of a tile's values where they lie:
 *
 *     o = rescale · o
 *     for each four values:
 *         for each two rows, and for the last one:
 *             o[row] += Σ p[row][value] · v
 *
 * Values are read in straight lines from their start to their end; outputs stay in the first-level cache. Where values must be
 * widened for several rows, weights are a panel, p[key][8 rows], and four rows' outputs stay in registers (product.ts), eight
 * columns at a time.
 */
import * as record from '../src/wasm/record'
import { fours, scoreRowBytes } from './in-fours'
import {
  a, areFinite, b, c, columns, completeFour, completePanel, convertFour, d, dtype, fetchFinite, keys, lackFactor, locate, room,
  rowCount, stride, turnTo, vectors,
} from './in-place'
import { product } from './product'
import { keyScoresBytes } from './softmax'
import { bfloat, half, halfFactor, isHalf, loadFour } from './stored'
import { multiplyAdd, splat } from './vector'

/** Outputs: rows of `outputBytes`, and what each is multiplied by first. */
let outputBytes: usize, rescales: usize

/**
 * Of values that are float32 or are converted, or for a single row: p[row][key], which is changed on the way. What follows a value of
 * no whole fours ends in columns that nobody looks at.
 */
export function weighRows(p: usize, o: usize, rowBytes: usize, rescalesAt: usize): void {
  locate(record.value)
  outputBytes = rowBytes, rescales = rescalesAt
  rescaleOutputs(o)
  if (dtype == record.float32) addStored<f32>(vectors, stride, keys, p, o)
  else if (dtype == record.float16) addStored<half>(vectors, stride, keys, p, o)
  else if (dtype == record.bfloat16) addStored<bfloat>(vectors, stride, keys, p, o)
  else if (dtype == record.int8) addStored<i8>(vectors, stride, keys, p, o)
  else for (let four = 0; four < fours(keys); four++) addConverted(four, p + (four << 4), o)
}

function rescaleOutputs(o: usize): void {
  for (let row = 0; row < rowCount; row++) {
    const factor = v128.load32_splat(rescales + (usize(row) << 2))
    let at = o + row * outputBytes
    for (const end = at + (usize(columns) << 2); at < end; at += 16) v128.store(at, f32x4.mul(factor, v128.load(at)))
  }
}

function addStored<T>(v: usize, vStride: isize, count: i32, p: usize, o: usize): void {
  for (let four = 0; four < fours(count); four++, p += 16) {
    turnTo(four, v, vStride, count)
    if (isHalf<T>() && !areFinite(a, b, c, d, usize(columns) << 1)) {
      addConverted(four, p, o)
      continue
    }
    if (lackFactor<T>()) completeFour<T>(p, four, halfFactor)
    addFour<T>(p, o)
  }
}

function addConverted(four: i32, p: usize, o: usize): void {
  convertFour(four)
  addStored<f32>(room, usize(columns) << 2, 4, p, o)
}

// @ts-ignore: decorator
@inline
function addFour<T>(p: usize, o: usize): void {
  let rows = rowCount
  if (isFloat<T>()) for (; rows > 1; rows -= 2, p += 2 * scoreRowBytes, o += 2 * outputBytes) addToTwoRows(p, a, b, c, d, o)
  if (rows == 1) addToOneRow<T>(p, a, b, c, d, o)
}

/** Each vector of a value serves both rows. */
// @ts-ignore: decorator
@inline
function addToTwoRows(p: usize, a: usize, b: usize, c: usize, d: usize, o: usize): void {
  const p0 = v128.load32_splat(p), p1 = v128.load32_splat(p, 4), p2 = v128.load32_splat(p, 8), p3 = v128.load32_splat(p, 12)
  const r0 = v128.load32_splat(p, scoreRowBytes), r1 = v128.load32_splat(p, scoreRowBytes + 4)
  const r2 = v128.load32_splat(p, scoreRowBytes + 8), r3 = v128.load32_splat(p, scoreRowBytes + 12)
  const rowBytes = outputBytes
  for (const end = o + (usize(columns) << 2); o < end; o += 16, a += 16, b += 16, c += 16, d += 16) {
    let v = v128.load(a)
    let x = multiplyAdd(p0, v, v128.load(o)), y = multiplyAdd(r0, v, v128.load(o + rowBytes))
    v = v128.load(b), x = multiplyAdd(p1, v, x), y = multiplyAdd(r1, v, y)
    v = v128.load(c), x = multiplyAdd(p2, v, x), y = multiplyAdd(r2, v, y)
    v = v128.load(d)
    v128.store(o, multiplyAdd(p3, v, x))
    v128.store(o + rowBytes, multiplyAdd(r3, v, y))
  }
}

// @ts-ignore: decorator
@inline
function addToOneRow<T>(p: usize, a: usize, b: usize, c: usize, d: usize, o: usize): void {
  const p0 = v128.load32_splat(p), p1 = v128.load32_splat(p, 4), p2 = v128.load32_splat(p, 8), p3 = v128.load32_splat(p, 12)
  const four = 4 * sizeof<T>()
  for (const end = o + (usize(columns) << 2); o < end; o += 16, a += four, b += four, c += four, d += four) {
    let x = multiplyAdd(p0, loadFour<T>(a), v128.load(o))
    x = multiplyAdd(p1, loadFour<T>(b), x)
    x = multiplyAdd(p2, loadFour<T>(c), x)
    v128.store(o, multiplyAdd(p3, loadFour<T>(d), x))
  }
}

/**
 * With weights p[key][8 rows], which are changed on the way. Does nothing but say so, with false, where values are not stored in
 * few bits, in whole eights of columns, and finite.
 */
export function weighPanel(p: usize, o: usize, rowBytes: usize, rescalesAt: usize): bool {
  locate(record.value)
  outputBytes = rowBytes, rescales = rescalesAt
  if ((columns & 7) != 0) return false
  if (dtype == record.float16) return productsOfStored<half>(p, o)
  if (dtype == record.bfloat16) return productsOfStored<bfloat>(p, o)
  if (dtype == record.int8) return productsOfStored<i8>(p, o)
  return false
}

/** The values are fetched first, since they are then read a few columns at a time. */
function productsOfStored<T>(p: usize, o: usize): bool {
  if (!fetchFinite<T>()) return false
  if (lackFactor<T>()) completePanel<T>(p, 0, 1, keys, halfFactor)
  let v = vectors
  for (const end = o + (usize(columns) << 2); o < end; o += 32, v += 8 * sizeof<T>()) {
    for (let row: usize = 0; row < usize(rowCount); row += 4) {
      product<T>(p + (row << 2), keyScoresBytes, v, stride, keys, o + row * outputBytes, outputBytes, rescales + (row << 2))
    }
  }
  return true
}
