/**
 * The order in which a tile's keys and values are taken where they lie: in fours, a quarter of the tile apart, so that each is
 * in a straight line of its own. Processors fetch ahead of several such lines at once, if each is in pages of its own; vectors
 * next to each other are one line, and jumping between them none. The last of a tile that is no multiple of four are neighbours.
 *
 *     16 keys: 0 4 8 12, 1 5 9 13, 2 6 10 14, 3 7 11 15        7 keys: 0 1 2 3, 4 5 6
 *
 * Scores and weights lie in this order, s[row][key]: neither maxima nor sums mind.
 */
import { storeLanes } from './dot'
import { tileKeys } from './operands'
import { keyScoresBytes } from './softmax'

/** Bytes of one row's scores of a tile. */
export const scoreRowBytes: usize = usize(tileKeys) << 2

/** How many fours there are, the last of which may lack some. */
// @ts-ignore: decorator
@inline
export function fours(keys: i32): i32 {
  return (keys + 3) >> 2
}

/** The first of a four. */
// @ts-ignore: decorator
@inline
export function firstOf(four: i32, keys: i32): i32 {
  return four < keys >> 2 ? four : keys & ~3
}

/** How many keys it is from each of a four to the next. */
// @ts-ignore: decorator
@inline
export function apart(four: i32, keys: i32): i32 {
  return four < keys >> 2 ? keys >> 2 : 1
}

/**
 * The same as panels have them (softmax.ts), s[key][8 rows], with zeros for rows that a multiple of four lacks. `panel` has room
 * for three keys more.
 */
export function toPanel(s: usize, keys: i32, rowCount: i32, panel: usize): void {
  for (let four = 0; four < fours(keys); four++, s += 16) {
    const step = apart(four, keys) * keyScoresBytes
    let from = s, to = panel + firstOf(four, keys) * keyScoresBytes
    for (let row = 0; row < ((rowCount + 3) & ~3); row++, from += scoreRowBytes, to += 4) {
      storeLanes(row < rowCount ? v128.load(from) : i32x4.splat(0), to, step)
    }
  }
}
