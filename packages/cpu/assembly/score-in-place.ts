/**
 * Scores of a tile's keys where they lie:
 *
 *     for each four keys:
 *         for each two rows, and for the last one:
 *             s[row][key] = q · k
 *
 * The four keys stay in the first-level cache for all rows. Two rows and four keys are six reads for eight multiply-adds. So are
 * four rows and two keys: they are taken where something must be widened for several rows, which is then done half as often.
 * Scores come out as a panel then, s[key][8 rows].
 */
import * as record from '../src/wasm/record'
import { dotFourRows, dotFourVectors, dotTwoRows } from './dot'
import { apart, firstOf, fours, scoreRowBytes } from './in-fours'
import {
  a, areFinite, b, c, columns, completeFour, completePanel, convertFour, d, dtype, fetchFinite, keys, lackFactor, locate,
  multiplyKey, readsOn, room, rowCount, stride, turnTo, vectors,
} from './in-place'
import { keyScoresBytes } from './softmax'
import { bfloat, half, halfQueryFactor, halfScoreFactor, isHalf } from './stored'
import { splat } from './vector'

/** What queries have been multiplied by. */
let queryFactor: f32

/**
 * Of keys that are float32 or are converted, or for a single row: s[row][key]. Queries are rows of whole fours of elements, filled
 * up with zeros, and have been multiplied by a factor: 1, or for halves `halfQueryFactor`.
 */
export function scoreRows(q: usize, factor: f32, s: usize): void {
  locate(record.key)
  queryFactor = factor
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
  for (let four = 0; four < fours(count); four++, s += 16) {
    turnTo(four, k, kStride, count)
    if (isHalf<T>() && !areFinite(a, b, c, d, usize(columns) << 1)) {
      scoreConverted(four, q, s)
      continue
    }
    scoreFour<T>(q, s)
    if (mayReadOn && !areFiniteScores(s, scoreRowBytes, rowCount)) scoreConverted(four, q, s)
    else if (lackFactor<T>()) completeFour<T>(s, four, halfScoreFactor)
  }
}

// @ts-ignore: decorator
@inline
function scoreFour<T>(q: usize, s: usize): void {
  const n = columns, rowBytes = usize(n) << 2
  let rows = rowCount
  if (isFloat<T>()) {
    for (; rows > 1; rows -= 2, q += 2 * rowBytes, s += 2 * scoreRowBytes) dotTwoRows(q, a, b, c, d, n, s, scoreRowBytes)
  }
  if (rows == 1) v128.store(s, dotFourVectors<T>(q, a, b, c, d, usize(n) * sizeof<T>()))
}

function scoreConverted(four: i32, q: usize, s: usize): void {
  convertFour(four)
  scoreStored<f32>(room, usize(columns) << 2, 4, q, s)
  if (queryFactor != 1) v128.store(s, f32x4.mul(v128.load(s), splat(1 / queryFactor)))
}

/** s[key][8 rows]. Queries are interleaved by fours of rows, and else as for `scoreRows`. */
export function scorePanel(q: usize, factor: f32, s: usize): void {
  locate(record.key)
  queryFactor = factor
  if (dtype == record.float16 && factor == halfQueryFactor) panelOfStored<half>(q, s)
  else if (dtype == record.bfloat16) panelOfStored<bfloat>(q, s)
  else if (dtype == record.int8) panelOfStored<i8>(q, s)
  else for (let four = 0; four < fours(keys); four++) panelOfConverted(four, q, s)
}

function panelOfStored<T>(q: usize, s: usize): void {
  // Halves are fetched as it is asked of each four whether they are finite.
  if (!isHalf<T>()) fetchFinite<T>()
  for (let four = 0; four < fours(keys); four++) {
    turnTo(four, vectors, stride, keys)
    if (isHalf<T>() && !areFinite(a, b, c, d, usize(columns) << 1)) {
      panelOfConverted(four, q, s)
      continue
    }
    const first = firstOf(four, keys), gap = apart(four, keys)
    panelOfFour<T>(s + first * keyScoresBytes, gap * keyScoresBytes, q)
    if (readsOn && !isFinitePanel(s + first * keyScoresBytes, gap * keyScoresBytes)) panelOfConverted(four, q, s)
    else if (lackFactor<T>()) completePanel<T>(s, first, gap, 4, halfScoreFactor)
  }
}

function panelOfConverted(four: i32, q: usize, s: usize): void {
  s += firstOf(four, keys) * keyScoresBytes
  const step = apart(four, keys) * keyScoresBytes
  convertFour(four)
  turnTo(0, room, isize(columns) << 2, 4)
  panelOfFour<f32>(s, step, q)
  if (queryFactor != 1) for (let key = 0; key < 4; key++, s += step) multiplyKey(s, 1 / queryFactor)
}

/** Scores of the four turned to, each key's `step` bytes from the one before. */
function panelOfFour<T>(s: usize, step: usize, q: usize): void {
  const bytes = usize(columns) * sizeof<T>()
  for (let rows = 0; rows < rowCount; rows += 4, q += usize(columns) << 4, s += 16) {
    dotFourRows<T>(q, a, b, bytes, s, step)
    dotFourRows<T>(q, c, d, bytes, s + 2 * step, step)
  }
}

/** Whether the four's scores are finite. */
function isFinitePanel(s: usize, step: usize): bool {
  return areFiniteScores(s, step, 4) && (rowCount <= 4 || areFiniteScores(s + 16, step, 4))
}

/** Whether `count` vectors of scores, `step` bytes apart, are. */
function areFiniteScores(s: usize, step: usize, count: i32): bool {
  let zeros = splat(0)
  for (const end = s + count * step; s < end; s += step) zeros = f32x4.add(zeros, f32x4.mul(v128.load(s), splat(0)))
  return !v128.any_true(f32x4.ne(zeros, zeros))
}
