/**
 * Scores of a tile's keys where they lie:
 *
 *     for each four keys:
 *         for each two rows, and for the last one:
 *             s[row][key] = q · k
 *
 * The four keys stay in the first-level cache for all rows. Two rows and four keys are six reads for eight multiply-adds. So are
 * four rows and two keys: they are taken where keys must be widened, which is then done half as often.
 */
import * as record from '../src/wasm/record'
import { dotFourRows, dotFourVectors, dotTwoRows, storeLanes } from './dot'
import { apart, firstOf, fours, scoreRowBytes } from './in-fours'
import {
  areFinite, columns, convertFour, dtype, fetchFinite, keys, locate, multiplyByScales, multiplyFour, orZeros, products,
  readsOn, room, rowCount, stride, vectors,
} from './in-place'
import { bfloat, half, halfQueryFactor, halfScoreFactor, isHalf } from './stored'
import { splat } from './vector'

/** Whether queries are interleaved by fours, and what they have been multiplied by. */
let interleaved: bool, queryFactor: f32

/** How queries must be for keys of a dtype: interleaved, if keys are to be widened for more rows than one. */
export function wantsInterleaved(keyDtype: i32, rows: i32): bool {
  return keyDtype > record.float32 && rows > 1
}

/**
 * Queries are rows of whole fours of elements, filled up with zeros, as `wantsInterleaved` says, and multiplied by a factor: 1, or
 * for halves `halfQueryFactor`.
 */
export function scoreTile(q: usize, inFours: bool, factor: f32, s: usize): void {
  locate(record.key)
  interleaved = inFours, queryFactor = factor
  if (dtype == record.float32) scoreStored<f32>(vectors, stride, keys, q, s)
  else if (dtype == record.float16 && factor == halfQueryFactor) scoreStored<half>(vectors, stride, keys, q, s)
  else if (dtype == record.bfloat16) scoreStored<bfloat>(vectors, stride, keys, q, s)
  else if (dtype == record.int8) scoreStored<i8>(vectors, stride, keys, q, s)
  else for (let four = 0; four < fours(keys); four++) scoreConverted(four, q, s + (four << 4))
}

/**
 * Of a head dim that is no multiple of 4, reads go on into what follows a key, which the queries' zeros make nothing of, unless
 * it is infinite or NaN: then a score is.
 */
function scoreStored<T>(k: usize, kStride: isize, count: i32, q: usize, s: usize): void {
  const mayReadOn = readsOn && k != room
  const finite = !isFloat<T>() && interleaved && fetchFinite<T>()
  for (let four = 0; four < fours(count); four++, s += 16) {
    const first = firstOf(four, count), step = apart(four, count)
    const a = k + first * kStride, b = orZeros(k, kStride, count, first + step)
    const c = orZeros(k, kStride, count, first + 2 * step), d = orZeros(k, kStride, count, first + 3 * step)
    if (isHalf<T>() && !finite && !areFinite(a, b, c, d, usize(columns) << 1)) {
      scoreConverted(four, q, s)
      continue
    }
    scoreFour<T>(a, b, c, d, q, s)
    if (mayReadOn && !scoresAreFinite(s)) scoreConverted(four, q, s)
    else if (isHalf<T>()) multiplyFour(s, halfScoreFactor)
    else if (sizeof<T>() == 1) multiplyByScales(s, four)
  }
}

// @ts-ignore: decorator
@inline
function scoreFour<T>(a: usize, b: usize, c: usize, d: usize, q: usize, s: usize): void {
  const n = columns, rowBytes = usize(n) << 2
  let rows = rowCount
  if (interleaved) {
    for (; rows > 0; rows -= 4, q += 4 * rowBytes, s += 4 * scoreRowBytes) scoreFourRows<T>(a, b, c, d, q, s)
    return
  }
  if (isFloat<T>()) {
    for (; rows > 1; rows -= 2, q += 2 * rowBytes, s += 2 * scoreRowBytes) dotTwoRows(q, a, b, c, d, n, s, scoreRowBytes)
  }
  if (rows == 1) v128.store(s, dotFourVectors<T>(q, a, b, c, d, usize(n) * sizeof<T>()))
}

function scoreFourRows<T>(a: usize, b: usize, c: usize, d: usize, q: usize, s: usize): void {
  const bytes = usize(columns) * sizeof<T>()
  dotFourRows<T>(q, a, b, bytes, products, 16)
  dotFourRows<T>(q, c, d, bytes, products + 32, 16)
  for (let key: usize = 0; key < 16; key += 4) storeLanes(v128.load(products + 4 * key), s + key, scoreRowBytes)
}

function scoreConverted(four: i32, q: usize, s: usize): void {
  convertFour(four)
  scoreStored<f32>(room, usize(columns) << 2, 4, q, s)
  if (queryFactor != 1) multiplyFour(s, 1 / queryFactor)
}

function scoresAreFinite(s: usize): bool {
  let zeros = splat(0)
  for (const end = s + rowCount * scoreRowBytes; s < end; s += scoreRowBytes) zeros = f32x4.add(zeros, f32x4.mul(v128.load(s), splat(0)))
  return !v128.any_true(f32x4.ne(zeros, zeros))
}
