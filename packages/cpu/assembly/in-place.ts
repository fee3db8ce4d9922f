/**
 * Scores and weighted sums of a few rows, from keys and values where they lie: there is too little to do with each to pay
 * for packing it. What is stored in few bits is widened on its way into the products (`stored.ts`); other dtypes, orders
 * and sizes are converted first, a few vectors at a time, so that they stay in the first-level cache.
 *
 * Vectors that are worked on together lie a half or a quarter of the tile apart, so that each is in a straight line of its
 * own, which processors fetch ahead of.
 */
import * as record from '../src/wasm/record'
import { fetch, fetchHalves } from './ahead'
import { dotFourRows, dotFourVectors, storeLanes } from './dot'
import { elementBytes, inPlace, widenKeys, widenValues } from './operands'
import { wholeBlocks } from './pack'
import { int, vectorOf } from './problem'
import { keyScoresBytes } from './softmax'
import { bfloat, half, halfFactor, halfQueryFactor, halfScoreFactor } from './stored'
import { weighStored } from './values'
import { splat } from './vector'

/** Vectors that are converted at a time. */
export const chunkVectors: i32 = 32

/** Dtype of keys that are worked on where they lie, or −1. */
export function keysInPlace(problem: usize): i32 {
  return inPlace(problem, record.key)
}

/** The same of values. */
export function valuesInPlace(problem: usize): i32 {
  return inPlace(problem, record.value)
}

/**
 * s[key][8] of the tile's keys, of the dtype `keysInPlace`. Queries at `q` are one row, or fours interleaved, multiplied by
 * `halfQueryFactor` if keys are halves. `room` is for converted vectors.
 *
 * Of a head dim that is no multiple of 4, reads go on into what follows a key, which the queries' zeros make nothing of,
 * unless it is infinite or NaN: then a score is.
 */
export function scoreTile(
  problem: usize, batch: i32, keyHead: i32, at: i32, keys: i32, q: usize, s: usize, rowCount: i32, dtype: i32, room: usize,
): void {
  const n = int(problem, record.headDim), whole = wholeBlocks(n), rowBytes = usize(whole) << 2
  const k = vectorOf(problem, record.key, batch, keyHead, at), stride = int(problem, record.key + record.rowStride)
  if (canBeRead(k, stride, keys, whole, dtype)) {
    scoreKeys(k, stride, keys, whole * elementBytes(dtype), q, rowBytes, s, rowCount, dtype)
    if (n == whole || areFinite(s, keys, rowCount)) {
      if (dtype == record.float16) multiply(s, keys, rowCount, halfScoreFactor)
      else if (dtype == record.int8) multiplyByScales(problem, record.keyScales, batch, keyHead, at, keys, s, rowCount)
      return
    }
  }
  for (let j = 0; j < keys; j += chunkVectors) {
    const count = min(chunkVectors, keys - j)
    widenKeys(problem, batch, keyHead, at + j, count, room)
    scoreKeys(room, rowBytes, count, rowBytes, q, rowBytes, s + j * keyScoresBytes, rowCount, record.float32)
  }
  if (dtype == record.float16) multiply(s, keys, rowCount, 1 / halfQueryFactor)
}

/**
 * o = rescale · o + pᵀ · v of the tile's values, of the dtype `valuesInPlace`; p is changed on the way. What follows a value
 * whose size is no multiple of 4 ends in columns that nobody looks at.
 */
export function weighTile(
  problem: usize, batch: i32, keyHead: i32, at: i32, keys: i32, p: usize, o: usize, rescales: usize, rowCount: i32, dtype: i32, room: usize,
): void {
  const whole = wholeBlocks(int(problem, record.valueDim))
  const v = vectorOf(problem, record.value, batch, keyHead, at), stride = int(problem, record.value + record.rowStride)
  if (canBeRead(v, stride, keys, whole, dtype)) {
    if (dtype == record.float16) multiply(p, keys, rowCount, halfFactor)
    else if (rowCount > 1) fetch(v, stride, keys, whole * elementBytes(dtype))
    if (dtype == record.int8) multiplyByScales(problem, record.valueScales, batch, keyHead, at, keys, p, rowCount)
    weigh(p, v, stride, keys, whole, o, rescales, rowCount, dtype)
    return
  }
  for (let j = 0; j < keys; j += chunkVectors) {
    const count = min(chunkVectors, keys - j)
    widenValues(problem, batch, keyHead, at + j, count, room)
    weighStored<f32>(p + j * keyScoresBytes, room, whole << 2, count, whole, o, rescales, rowCount)
    // What has been rescaled once for a tile must not be again.
    v128.store(rescales, splat(1)), v128.store(rescales, splat(1), 16)
  }
}

/** Whether vectors of `whole` elements can be read where they lie: they are, memory does not end in them, and halves are finite. */
function canBeRead(vectors: usize, stride: isize, count: i32, whole: i32, dtype: i32): bool {
  if (dtype < 0) return false
  const bytes = whole * elementBytes(dtype)
  if (u64(max(vectors, vectors + (count - 1) * stride)) + bytes > u64(memory.size()) << 16) return false
  return dtype != record.float16 || fetchHalves(vectors, stride, count, bytes)
}

function areFinite(s: usize, keys: i32, rowCount: i32): bool {
  let zeros = splat(0)
  for (const end = s + keys * keyScoresBytes; s < end; s += keyScoresBytes) {
    zeros = f32x4.add(zeros, f32x4.mul(rowCount == 1 ? v128.load32_splat(s) : v128.load(s), splat(0)))
    if (rowCount > 4) zeros = f32x4.add(zeros, f32x4.mul(v128.load(s, 16), splat(0)))
  }
  return !v128.any_true(f32x4.ne(zeros, zeros))
}

/** One row and four keys at a time, or four rows and two keys. `bytes` are those of a key. */
function scoreKeys(
  k: usize, stride: isize, keys: i32, bytes: usize, q: usize, rowBytes: usize, target: usize, rowCount: i32, dtype: i32,
): void {
  const last = keys - 1, apart = rowCount == 1 ? (keys + 3) >> 2 : (keys + 1) >> 1, step = apart * keyScoresBytes
  for (let j = 0; j < apart; j++, target += keyScoresBytes) {
    const a = k + j * stride, b = k + min(last, j + apart) * stride
    if (rowCount == 1) {
      storeLanes(dotOne(q, a, b, k + min(last, j + 2 * apart) * stride, k + min(last, j + 3 * apart) * stride, bytes, dtype), target, step)
    } else {
      dotFour(q, a, b, bytes, target, step, dtype)
      if (rowCount > 4) dotFour(q + 4 * rowBytes, a, b, bytes, target + 16, step, dtype)
    }
  }
}

function dotFour(rows: usize, a: usize, b: usize, bytes: usize, target: usize, step: usize, dtype: i32): void {
  if (dtype == record.float32) dotFourRows<f32>(rows, a, b, bytes, target, step)
  else if (dtype == record.float16) dotFourRows<half>(rows, a, b, bytes, target, step)
  else if (dtype == record.bfloat16) dotFourRows<bfloat>(rows, a, b, bytes, target, step)
  else dotFourRows<i8>(rows, a, b, bytes, target, step)
}

function dotOne(row: usize, a: usize, b: usize, c: usize, d: usize, bytes: usize, dtype: i32): v128 {
  if (dtype == record.float32) return dotFourVectors<f32>(row, a, b, c, d, bytes)
  if (dtype == record.float16) return dotFourVectors<half>(row, a, b, c, d, bytes)
  if (dtype == record.bfloat16) return dotFourVectors<bfloat>(row, a, b, c, d, bytes)
  return dotFourVectors<i8>(row, a, b, c, d, bytes)
}

function weigh(
  p: usize, v: usize, stride: isize, keys: i32, columns: i32, o: usize, rescales: usize, rowCount: i32, dtype: i32,
): void {
  if (dtype == record.float32) weighStored<f32>(p, v, stride, keys, columns, o, rescales, rowCount)
  else if (dtype == record.float16) weighStored<half>(p, v, stride, keys, columns, o, rescales, rowCount)
  else if (dtype == record.bfloat16) weighStored<bfloat>(p, v, stride, keys, columns, o, rescales, rowCount)
  else weighStored<i8>(p, v, stride, keys, columns, o, rescales, rowCount)
}

/** Scores or weights of all keys times one factor. */
function multiply(s: usize, keys: i32, rowCount: i32, factor: f32): void {
  for (const end = s + keys * keyScoresBytes; s < end; s += keyScoresBytes) multiplyKey(s, rowCount, splat(factor))
}

/** Those of each key times its scale. */
function multiplyByScales(problem: usize, scales: i32, batch: i32, keyHead: i32, at: i32, keys: i32, s: usize, rowCount: i32): void {
  let scale = vectorOf(problem, scales, batch, keyHead, at)
  const step = int(problem, scales + record.rowStride)
  for (const end = s + keys * keyScoresBytes; s < end; s += keyScoresBytes, scale += step) multiplyKey(s, rowCount, v128.load32_splat(scale))
}

// @ts-ignore: decorator
@inline
function multiplyKey(s: usize, rowCount: i32, factor: v128): void {
  v128.store(s, f32x4.mul(v128.load(s), factor))
  if (rowCount > 4) v128.store(s, f32x4.mul(v128.load(s, 16), factor), 16)
}
