/**
 * The rows of a query tile. All query rows of the heads that share keys are numbered row · group + head, so that rows
 * next to each other see nearly the same keys, and decoding with grouped heads reads each key once for all of them.
 *
 * A tile's rows are cut into panels of 8. Of each panel a description is kept, one vector of 8 numbers a property; the
 * last panel is filled up with its last row, whose results nobody looks at.
 */
import * as record from '../src/wasm/record'
import { endVisible, firstPosition, firstVisible, int, pointer, validKeys, vectorOf } from './problem'

export const panelRows: i32 = record.panelRows

/** Byte offsets within a panel's description: int32 query position, row, head, and range of visible keys. */
export const positions: usize = 0
export const indices: usize = 32
export const heads: usize = 64
export const firsts: usize = 96
export const ends: usize = 128
/** Addresses of each row's bias and mask for key 0. */
export const biases: usize = 160
export const masks: usize = 192
/** Of the running softmax: maximum, sum, and what sums under the former maximum are multiplied by. */
export const maxima: usize = 224
export const sums: usize = 256
export const rescales: usize = 288
/** Numbers of all rows together: the smallest and largest of `firsts` and of `ends`. */
export const lowestFirst: usize = 320
export const highestFirst: usize = 324
export const lowestEnd: usize = 328
export const highestEnd: usize = 332
export const batches: usize = 336
/** Whether any values have been weighed: outputs start with the first ones. */
export const started: usize = 368

export const panelBytes: usize = 384

/** Describes the panel of rows from `first` on, of which those below `end` exist. */
export function describePanel(problem: usize, batch: i32, keyHead: i32, first: i32, end: i32, panel: usize): void {
  const group = int(problem, record.group)
  const keys = validKeys(problem, batch)
  const start = firstPosition(problem, keys)
  const sinks = load<usize>(problem, record.sinks)
  const biased = pointer(problem, record.bias) != 0, masked = pointer(problem, record.mask) != 0
  let row = first / group, offset = first - row * group
  for (let lane = 0; lane < panelRows; lane++) {
    const at = panel + (lane << 2), head = keyHead * group + offset
    store<i32>(at, start + row, positions)
    store<i32>(at, row, indices)
    store<i32>(at, head, heads)
    store<i32>(at, firstVisible(problem, start + row, keys), firsts)
    store<i32>(at, endVisible(problem, start + row, keys), ends)
    store<i32>(at, batch, batches)
    if (biased) store<usize>(at, vectorOf(problem, record.bias, batch, head, row), biases)
    if (masked) store<usize>(at, vectorOf(problem, record.mask, batch, head, row), masks)
    const sink: f32 = sinks == 0 ? -Infinity : load<f32>(sinks + (usize(head) << 2))
    store<f32>(at, sink, maxima)
    store<f32>(at, sink == -Infinity ? 0 : 1, sums)
    if (first + lane + 1 < end && ++offset == group) offset = 0, row++
  }
  store<i32>(panel, 0, started)
  // Later rows see neither earlier first keys nor earlier ends.
  const last: usize = 4 * (panelRows - 1)
  store<i32>(panel, load<i32>(panel, firsts), lowestFirst)
  store<i32>(panel, load<i32>(panel + last, firsts), highestFirst)
  store<i32>(panel, load<i32>(panel, ends), lowestEnd)
  store<i32>(panel, load<i32>(panel + last, ends), highestEnd)
}

/** Whether none of the panel's rows sees any of the keys. */
// @ts-ignore: decorator
@inline
export function seesNone(panel: usize, firstKey: i32, endKey: i32): bool {
  return endKey <= load<i32>(panel, lowestFirst) || firstKey >= load<i32>(panel, highestEnd)
}

/** Whether all of the panel's rows see all of the keys, as far as causality, window and length go. */
// @ts-ignore: decorator
@inline
export function seesAll(panel: usize, firstKey: i32, endKey: i32): bool {
  return firstKey >= load<i32>(panel, highestFirst) && endKey <= load<i32>(panel, lowestEnd)
}

/** How many of the keys from `at` on come before the first that any of the panel's rows sees. */
// @ts-ignore: decorator
@inline
export function unseenBefore(panel: usize, at: i32): i32 {
  return max(0, load<i32>(panel, lowestFirst) - at)
}

/** How many of the `count` keys from `at` on come before all of the panel's rows stop seeing. */
// @ts-ignore: decorator
@inline
export function endSeen(panel: usize, at: i32, count: i32): i32 {
  return min(count, load<i32>(panel, highestEnd) - at)
}
