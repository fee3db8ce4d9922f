/**
 * s = k · qᵀ: a tile's keys with a panel of rows. Keys are taken as `tiles.ts` has them, and scores lie as s[key][8 rows].
 *
 *     5 to 8 rows    4 keys × 8 rows: one element of each key, times the rows' elements
 *     3 or 4 rows    8 keys × 4 rows: the same with half a panel
 *     1 or 2 rows    16 keys × 2 rows: one element of each row, times keys', which are turned four by four in registers
 *
 * Each keeps eight sums in registers, none of rows that don't exist. A score is the same sum in the same order either way, and
 * so the same bits. Where a last block lacks keys it takes some again.
 */
import { storeLanes } from './dot'
import { blockRows, panelRow } from './product'
import { keyScoresBytes } from './softmax'
import * as tile from './tiles'
import { highHalves, interleaveHigh, interleaveLow, lowHalves, multiplyAdd, splat } from './vector'

/** Of `count` keys from the tile's key `first` on with the first `rowCount` rows of `q`, which has `n` elements a row. */
export function scorePanel(first: i32, count: i32, q: usize, n: i32, rowCount: i32, s: usize): void {
  const keys = tile.keys + first * tile.keyBytes
  const last = tile.keysInPlace ? max(0, count - blockRows) : (count - 1) & -blockRows
  if (rowCount > 4) {
    for (let j = 0; j < count; j += 4) {
      const key = min(j, last)
      scoreFourKeys(keys + key * tile.keyBytes, q, n, s + key * keyScoresBytes)
    }
  } else if (rowCount > 2 || !tile.keysInPlace || (n & 3) != 0) {
    for (let j = 0; j < count; j += 8) {
      const a = min(j, last), b = min(j + 4, last)
      scoreEightKeys(keys + a * tile.keyBytes, keys + b * tile.keyBytes, q, n, s + a * keyScoresBytes, s + b * keyScoresBytes)
    }
  } else {
    for (let j = 0; j < count; j += 16) {
      scoreSixteenKeys(keys, min(j, last), min(j + 4, last), min(j + 8, last), min(j + 12, last), q, n, s)
    }
  }
}

function scoreFourKeys(k: usize, q: usize, n: i32, s: usize): void {
  const row = tile.keyRow, step = tile.keyStep
  const row2 = 2 * row, row3 = 3 * row
  let a0 = splat(0), b0 = splat(0), c0 = splat(0), d0 = splat(0)
  let a4 = splat(0), b4 = splat(0), c4 = splat(0), d4 = splat(0)
  let x: v128
  for (const end = k + usize(n) * step; k < end; k += step, q += panelRow) {
    const q0 = v128.load(q), q4 = v128.load(q, 16)
    x = v128.load32_splat(k), a0 = multiplyAdd(x, q0, a0), a4 = multiplyAdd(x, q4, a4)
    x = v128.load32_splat(k + row), b0 = multiplyAdd(x, q0, b0), b4 = multiplyAdd(x, q4, b4)
    x = v128.load32_splat(k + row2), c0 = multiplyAdd(x, q0, c0), c4 = multiplyAdd(x, q4, c4)
    x = v128.load32_splat(k + row3), d0 = multiplyAdd(x, q0, d0), d4 = multiplyAdd(x, q4, d4)
  }
  v128.store(s, a0), v128.store(s, a4, 16), v128.store(s, b0, 32), v128.store(s, b4, 48)
  v128.store(s, c0, 64), v128.store(s, c4, 80), v128.store(s, d0, 96), v128.store(s, d4, 112)
}

/** Two fours of keys. */
function scoreEightKeys(k: usize, l: usize, q: usize, n: i32, s: usize, t: usize): void {
  const row = tile.keyRow, step = tile.keyStep
  const row2 = 2 * row, row3 = 3 * row
  let a = splat(0), b = splat(0), c = splat(0), d = splat(0)
  let e = splat(0), f = splat(0), g = splat(0), h = splat(0)
  for (const end = k + usize(n) * step; k < end; k += step, l += step, q += panelRow) {
    const q0 = v128.load(q)
    a = multiplyAdd(v128.load32_splat(k), q0, a), b = multiplyAdd(v128.load32_splat(k + row), q0, b)
    c = multiplyAdd(v128.load32_splat(k + row2), q0, c), d = multiplyAdd(v128.load32_splat(k + row3), q0, d)
    e = multiplyAdd(v128.load32_splat(l), q0, e), f = multiplyAdd(v128.load32_splat(l + row), q0, f)
    g = multiplyAdd(v128.load32_splat(l + row2), q0, g), h = multiplyAdd(v128.load32_splat(l + row3), q0, h)
  }
  v128.store(s, a), v128.store(s, b, 32), v128.store(s, c, 64), v128.store(s, d, 96)
  v128.store(t, e), v128.store(t, f, 32), v128.store(t, g, 64), v128.store(t, h, 96)
}

/** Four fours of keys where they lie, from each of the given ones on. */
function scoreSixteenKeys(keys: usize, ja: i32, jb: i32, jc: i32, jd: i32, q: usize, n: i32, s: usize): void {
  const row = tile.keyRow
  const row2 = 2 * row, row3 = 3 * row
  let a = keys + ja * row, b = keys + jb * row, c = keys + jc * row, d = keys + jd * row
  let a0 = splat(0), b0 = splat(0), c0 = splat(0), d0 = splat(0)
  let a1 = splat(0), b1 = splat(0), c1 = splat(0), d1 = splat(0)
  let x: v128, y: v128, z: v128, w: v128, low: v128, high: v128
  for (const end = q + usize(n) * panelRow; q < end; q += 4 * panelRow, a += 16, b += 16, c += 16, d += 16) {
    x = v128.load(a), y = v128.load(a + row), z = v128.load(a + row2), w = v128.load(a + row3)
    low = interleaveLow(x, y), high = interleaveHigh(x, y), y = interleaveLow(z, w), w = interleaveHigh(z, w)
    x = lowHalves(low, y), y = highHalves(low, y), z = lowHalves(high, w), w = highHalves(high, w)
    a0 = addFour(x, y, z, w, q, a0), a1 = addFour(x, y, z, w, q + 4, a1)
    x = v128.load(b), y = v128.load(b + row), z = v128.load(b + row2), w = v128.load(b + row3)
    low = interleaveLow(x, y), high = interleaveHigh(x, y), y = interleaveLow(z, w), w = interleaveHigh(z, w)
    x = lowHalves(low, y), y = highHalves(low, y), z = lowHalves(high, w), w = highHalves(high, w)
    b0 = addFour(x, y, z, w, q, b0), b1 = addFour(x, y, z, w, q + 4, b1)
    x = v128.load(c), y = v128.load(c + row), z = v128.load(c + row2), w = v128.load(c + row3)
    low = interleaveLow(x, y), high = interleaveHigh(x, y), y = interleaveLow(z, w), w = interleaveHigh(z, w)
    x = lowHalves(low, y), y = highHalves(low, y), z = lowHalves(high, w), w = highHalves(high, w)
    c0 = addFour(x, y, z, w, q, c0), c1 = addFour(x, y, z, w, q + 4, c1)
    x = v128.load(d), y = v128.load(d + row), z = v128.load(d + row2), w = v128.load(d + row3)
    low = interleaveLow(x, y), high = interleaveHigh(x, y), y = interleaveLow(z, w), w = interleaveHigh(z, w)
    x = lowHalves(low, y), y = highHalves(low, y), z = lowHalves(high, w), w = highHalves(high, w)
    d0 = addFour(x, y, z, w, q, d0), d1 = addFour(x, y, z, w, q + 4, d1)
  }
  storeLanes(a0, s + ja * keyScoresBytes, keyScoresBytes), storeLanes(a1, s + ja * keyScoresBytes + 4, keyScoresBytes)
  storeLanes(b0, s + jb * keyScoresBytes, keyScoresBytes), storeLanes(b1, s + jb * keyScoresBytes + 4, keyScoresBytes)
  storeLanes(c0, s + jc * keyScoresBytes, keyScoresBytes), storeLanes(c1, s + jc * keyScoresBytes + 4, keyScoresBytes)
  storeLanes(d0, s + jd * keyScoresBytes, keyScoresBytes), storeLanes(d1, s + jd * keyScoresBytes + 4, keyScoresBytes)
}

/** Four elements of four keys, times those of one row. */
// @ts-ignore: decorator
@inline
function addFour(x: v128, y: v128, z: v128, w: v128, q: usize, sum: v128): v128 {
  sum = multiplyAdd(x, v128.load32_splat(q), sum)
  sum = multiplyAdd(y, v128.load32_splat(q, 32), sum)
  sum = multiplyAdd(z, v128.load32_splat(q, 64), sum)
  return multiplyAdd(w, v128.load32_splat(q, 96), sum)
}
