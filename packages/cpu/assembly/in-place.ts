/**
 * A tile's keys or values where they lie, for few rows: there is too little to do with each to pay for packing it. Four are taken
 * at a time (in-fours.ts). What is stored in few bits is widened on its way into the products (stored.ts); other dtypes and
 * orders, and halves that are infinite or NaN, are converted first.
 */
import * as record from '../src/wasm/record'
import { apart, firstOf, fours } from './in-fours'
import { elementBytes, inPlace, widen } from './operands'
import { wholeBlocks } from './pack'
import { int, vectorOf } from './problem'
import { isHalf } from './stored'
import { keyScoresBytes } from './softmax'
import { splat } from './vector'

/** The tile: its problem, batch entry, key head, first key and number of keys, and how many rows look at it. */
let problem: usize, batch: i32, head: i32, firstKey: i32
export let keys: i32, rowCount: i32
/**
 * Room for four converted vectors (not of the module: its memory is every thread's), and a vector of zeros, which stands for
 * those that the last four lacks.
 */
export let room: usize
let zeros: usize

/** Which of the tile's tensors has been located: `record.key` or `record.value`. */
let tensor: i32
/** Where the first of its vectors lies, and bytes from each to the next. */
export let vectors: usize, stride: isize
/** Their elements, rounded up to whole fours, and whether that is more than they have: reading them then goes on into what follows. */
export let columns: i32, readsOn: bool
/** Where the first one's scale lies, if they are quantised, and bytes from each to the next. */
let scales: usize, scaleStride: isize
/** Their dtype, or −1 if they cannot be read where they lie. */
export let dtype: i32

/** What there must be room for, where vectors take `vectorBytes` as float32. */
export function roomBytes(vectorBytes: usize): usize {
  return 5 * vectorBytes
}

/** Before the first tile. */
export function startTiles(problemAt: usize, roomAt: usize, vectorBytes: usize): void {
  problem = problemAt, room = roomAt, zeros = roomAt + 4 * vectorBytes
  for (let at = zeros, end = zeros + vectorBytes; at < end; at += 16) v128.store(at, i32x4.splat(0))
}

export function placeTile(batchEntry: i32, keyHead: i32, first: i32, count: i32, rows: i32): void {
  batch = batchEntry, head = keyHead, firstKey = first, keys = count, rowCount = rows
}

/** Turns to the tile's keys or values. */
export function locate(which: i32): void {
  tensor = which
  vectors = vectorOf(problem, tensor, batch, head, firstKey), stride = int(problem, tensor + record.rowStride)
  const n = int(problem, tensor + record.dim)
  columns = wholeBlocks(n), readsOn = n != columns
  scales = vectorOf(problem, tensor + record.scales, batch, head, firstKey)
  scaleStride = int(problem, tensor + record.scales + record.rowStride)
  dtype = inPlace(problem, tensor)
  if (dtype >= 0 && endsMemory(columns * elementBytes(dtype))) dtype = -1
}

/** Whether reading `bytes` bytes of each vector goes on beyond the end of memory. */
function endsMemory(bytes: i32): bool {
  return u64(max(vectors, vectors + (keys - 1) * stride)) + bytes > u64(memory.size()) << 16
}

/** Where the four vectors lie that were turned to last: functions cannot return four values. */
export let a: usize, b: usize, c: usize, d: usize

/** Turns to a four of `count` vectors, `step` bytes apart, of which the first lies at `start`. */
export function turnTo(four: i32, start: usize, step: isize, count: i32): void {
  const first = firstOf(four, count), gap = apart(four, count)
  a = start + first * step, b = orZeros(start, step, count, first + gap)
  c = orZeros(start, step, count, first + 2 * gap), d = orZeros(start, step, count, first + 3 * gap)
}

/** Where vector `number` of `count` lies, or zeros if there are no so many. */
// @ts-ignore: decorator
@inline
function orZeros(start: usize, step: isize, count: i32, number: i32): usize {
  return number < count ? start + number * step : zeros
}

/** Converts four vectors into the room for them, scales and all. */
export function convertFour(four: i32): void {
  const first = firstOf(four, keys), step = apart(four, keys), bytes = usize(columns) << 2
  for (let i = 0, target = room; i < 4; i++, target += bytes) {
    const number = first + i * step
    if (number >= keys) memory.fill(target, 0, bytes)
    else widen(problem, tensor, batch, head, firstKey + number, 1, target)
  }
}

/**
 * Fetches all of the tile's vectors, in four straight lines, before what is to be done with them takes longer than reading them.
 * Whether all are finite, which only halves are asked.
 */
export function fetchFinite<T>(): bool {
  const bytes = usize(columns) * sizeof<T>(), quarter = (keys >> 2) * stride
  if (stride == bytes && (keys & 3) == 0) {
    const b = vectors + quarter, c = b + quarter
    return fetchFour<T>(vectors, b, c, c + quarter, quarter)
  }
  let finite = true
  for (let four = 0; four < fours(keys); four++) {
    turnTo(four, vectors, stride, keys)
    if (!fetchFour<T>(a, b, c, d, bytes)) finite = false
  }
  return finite
}

function fetchFour<T>(a: usize, b: usize, c: usize, d: usize, bytes: usize): bool {
  if (isHalf<T>()) return areFinite(a, b, c, d, bytes)
  let word = 0
  for (const end = a + bytes; a < end; a += 64, b += 64, c += 64, d += 64) word |= load<i32>(a) | load<i32>(b) | load<i32>(c) | load<i32>(d)
  seen = word
  return true
}

/** What has been fetched: compilers may leave out reads of which nothing comes. */
let seen: i32 = 0

/**
 * Whether four lines of halves, `bytes` bytes each, are finite: twice their bits are then below 0xf800. Reads whole sixteens of
 * bytes; the arena leaves room for that behind its last block.
 */
export function areFinite(a: usize, b: usize, c: usize, d: usize, bytes: usize): bool {
  let x = i16x8.splat(0), y = x
  for (const end = a + bytes; a < end; a += 16, b += 16, c += 16, d += 16) {
    x = i16x8.max_u(x, twice(a)), y = i16x8.max_u(y, twice(b))
    x = i16x8.max_u(x, twice(c)), y = i16x8.max_u(y, twice(d))
  }
  return !v128.any_true(i16x8.ge_u(i16x8.max_u(x, y), i16x8.splat(<i16>0xf800)))
}

// @ts-ignore: decorator
@inline
function twice(at: usize): v128 {
  const bits = v128.load(at)
  return i16x8.add(bits, bits)
}

/** Whether elements lack a factor as they are stored: that of halves, or their vector's scale. */
// @ts-ignore: decorator
@inline
export function lackFactor<T>(): bool {
  return isHalf<T>() || sizeof<T>() == 1
}

/** Gives it to one row's scores or weights of a four. */
// @ts-ignore: decorator
@inline
export function completeFour<T>(s: usize, four: i32, ofHalves: f32): void {
  let x = splat(ofHalves)
  if (!isHalf<T>()) {
    const first = firstOf(four, keys), gap = apart(four, keys), last = keys - 1
    x = v128.load32_splat(scales + first * scaleStride)
    x = v128.load32_lane(scales + min(last, first + gap) * scaleStride, x, 1)
    x = v128.load32_lane(scales + min(last, first + 2 * gap) * scaleStride, x, 2)
    x = v128.load32_lane(scales + min(last, first + 3 * gap) * scaleStride, x, 3)
  }
  v128.store(s, f32x4.mul(v128.load(s), x))
}

/** Gives it to a panel's scores or weights, of the keys from `first` on, `gap` by `gap`, of which there are at most `count`. */
export function completePanel<T>(panel: usize, first: i32, gap: i32, count: i32, ofHalves: f32): void {
  for (let key = first; key < keys && count-- > 0; key += gap) {
    multiplyKey(panel + key * keyScoresBytes, isHalf<T>() ? ofHalves : load<f32>(scales + key * scaleStride))
  }
}

/** A key's scores, or its weights, in all rows times one factor. */
// @ts-ignore: decorator
@inline
export function multiplyKey(s: usize, factor: f32): void {
  v128.store(s, f32x4.mul(v128.load(s), splat(factor)))
  v128.store(s, f32x4.mul(v128.load(s, 16), splat(factor)), 16)
}
