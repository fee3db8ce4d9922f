/**
 * Weighted sums of a tile's values where they lie:
 *
 *     o = rescale · o
 *     for each four values:
 *         for each two rows, and for the last one:
 *             o[row] += Σ p[row][value] · v
 *
 * Values are read in straight lines from their start to their end; outputs stay in the first-level cache. Values that must be
 * widened for several rows are so once for four of them: then outputs stay in registers (product.ts), eight columns at a time.
 */
import * as record from '../src/wasm/record'
import { apart, firstOf, fours, scoreRowBytes, toPanel } from './in-fours'
import {
  areFinite, columns, convertFour, dtype, fetchFinite, keys, locate, multiplyByScales, multiplyFour, orZeros, room,
  rowCount, stride, vectors,
} from './in-place'
import { product } from './product'
import { keyScoresBytes } from './softmax'
import { bfloat, half, halfFactor, isHalf, loadFour } from './stored'
import { multiplyAdd, splat } from './vector'

/** Outputs: rows of `outputBytes`, and what each is multiplied by first. */
let outputBytes: usize, rescales: usize
/** Room for weights as a panel of 64 keys. */
let panel: usize

/** p is changed on the way. What follows a value of no whole fours ends in columns that nobody looks at. */
export function weighTile(p: usize, o: usize, rowBytes: usize, rescalesAt: usize, panelRoom: usize): void {
  locate(record.value)
  outputBytes = rowBytes, rescales = rescalesAt, panel = panelRoom
  if (dtype == record.float32) weighStored<f32>(p, o)
  else if (dtype == record.float16) weighStored<half>(p, o)
  else if (dtype == record.bfloat16) weighStored<bfloat>(p, o)
  else if (dtype == record.int8) weighStored<i8>(p, o)
  else weighConverted(p, o)
}

function weighStored<T>(p: usize, o: usize): void {
  // The values are fetched first, since they are then read a few columns at a time.
  if (!isFloat<T>() && rowCount > 1 && (columns & 7) == 0 && fetchFinite<T>()) return weighAsPanel<T>(p, o)
  rescaleOutputs(o)
  addStored<T>(vectors, stride, keys, p, o)
}

function weighAsPanel<T>(p: usize, o: usize): void {
  for (let four = 0; four < fours(keys); four++) giveFactors<T>(p + (four << 4), four)
  toPanel(p, keys, rowCount, panel)
  let v = vectors
  for (const end = o + (usize(columns) << 2); o < end; o += 32, v += 8 * sizeof<T>()) {
    for (let row: usize = 0; row < usize(rowCount); row += 4) {
      product<T>(panel + (row << 2), keyScoresBytes, v, stride, keys, o + row * outputBytes, outputBytes, rescales + (row << 2))
    }
  }
}

function weighConverted(p: usize, o: usize): void {
  rescaleOutputs(o)
  for (let four = 0; four < fours(keys); four++) addConverted(four, p + (four << 4), o)
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
    const first = firstOf(four, count), step = apart(four, count)
    const a = v + first * vStride, b = orZeros(v, vStride, count, first + step)
    const c = orZeros(v, vStride, count, first + 2 * step), d = orZeros(v, vStride, count, first + 3 * step)
    if (isHalf<T>() && !areFinite(a, b, c, d, usize(columns) << 1)) {
      addConverted(four, p, o)
      continue
    }
    giveFactors<T>(p, four)
    addFour<T>(a, b, c, d, p, o)
  }
}

function addConverted(four: i32, p: usize, o: usize): void {
  convertFour(four)
  addStored<f32>(room, usize(columns) << 2, 4, p, o)
}

/** To weights what values lack as they are stored. */
// @ts-ignore: decorator
@inline
function giveFactors<T>(p: usize, four: i32): void {
  if (isHalf<T>()) multiplyFour(p, halfFactor)
  else if (sizeof<T>() == 1) multiplyByScales(p, four)
}

// @ts-ignore: decorator
@inline
function addFour<T>(a: usize, b: usize, c: usize, d: usize, p: usize, o: usize): void {
  let rows = rowCount
  if (isFloat<T>()) for (; rows > 1; rows -= 2, p += 2 * scoreRowBytes, o += 2 * outputBytes) addToTwoRows(p, a, b, c, d, o)
  for (; rows > 0; rows--, p += scoreRowBytes, o += outputBytes) addToOneRow<T>(p, a, b, c, d, o)
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
    let x = f32x4.mul(p0, v), y = f32x4.mul(r0, v)
    v = v128.load(b), x = multiplyAdd(p1, v, x), y = multiplyAdd(r1, v, y)
    v = v128.load(c), x = multiplyAdd(p2, v, x), y = multiplyAdd(r2, v, y)
    v = v128.load(d)
    v128.store(o, f32x4.add(v128.load(o), multiplyAdd(p3, v, x)))
    v128.store(o + rowBytes, f32x4.add(v128.load(o + rowBytes), multiplyAdd(r3, v, y)))
  }
}

// @ts-ignore: decorator
@inline
function addToOneRow<T>(p: usize, a: usize, b: usize, c: usize, d: usize, o: usize): void {
  const p0 = v128.load32_splat(p), p1 = v128.load32_splat(p, 4), p2 = v128.load32_splat(p, 8), p3 = v128.load32_splat(p, 12)
  const four = 4 * sizeof<T>()
  for (const end = o + (usize(columns) << 2); o < end; o += 16, a += four, b += four, c += four, d += four) {
    let x = f32x4.mul(p0, loadFour<T>(a))
    x = multiplyAdd(p1, loadFour<T>(b), x)
    x = multiplyAdd(p2, loadFour<T>(c), x)
    v128.store(o, f32x4.add(v128.load(o), multiplyAdd(p3, loadFour<T>(d), x)))
  }
}
