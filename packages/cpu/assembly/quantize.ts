/**
 * Vectors as whole multiples of a scale for each group of their elements: scale = max |x| / levels, multiple = round(x / scale),
 * with 127 levels in int8, or 7 and two elements a byte, the even one in the low bits, each offset by 8.
 *
 * A group with a NaN gets a scale that is one, so that it is not lost.
 */
import { int8 } from '../src/wasm/record'
import * as record from '../src/wasm/vector-record'
import { addressOf, dtypeOf, floatsOf, stepOf } from './vectors'

/** A vector as float32. */
export function quantizeScratch(quantizing: usize, _unit: i32, _scratch: usize): usize {
  return usize(load<i32>(quantizing, record.elements)) << 2
}

/** One head of one batch entry. */
export function quantize(quantizing: usize, unit: i32, scratch: usize): void {
  const length = load<i32>(quantizing, record.length), elements = load<i32>(quantizing, record.elements)
  const groups = load<i32>(quantizing, record.groups), size = groups == 0 ? 0 : elements / groups
  const packed = dtypeOf(quantizing, record.output) != int8
  for (let row = 0; row < length; row++) {
    let x = floatsOf(quantizing, record.input, unit, row, elements, scratch)
    let target = addressOf(quantizing, record.output, unit, row), scale = addressOf(quantizing, record.scales, unit, row)
    for (let group = 0; group < groups; group++, x += usize(size) << 2, scale += stepOf(quantizing, record.scales)) {
      const factor = largestMagnitude(x, size) / f32(packed ? 7 : 127)
      store<f32>(scale, factor)
      const step = stepOf(quantizing, record.output)
      target = packed ? storeNibbles(x, size, factor, target, step) : storeBytes(x, size, factor, target, step)
    }
  }
}

function largestMagnitude(x: usize, n: i32): f32 {
  let largest: f32 = 0
  for (const end = x + (usize(n) << 2); x < end; x += 4) largest = max(largest, abs(load<f32>(x)))
  return largest
}

/** Where the next group's bytes go. */
function storeBytes(x: usize, n: i32, factor: f32, target: usize, step: i32): usize {
  for (const end = x + (usize(n) << 2); x < end; x += 4, target += step) store<i8>(target, i8(multiple(load<f32>(x), factor, 127)))
  return target
}

function storeNibbles(x: usize, n: i32, factor: f32, target: usize, step: i32): usize {
  for (const end = x + (usize(n) << 2); x < end; x += 8, target += step) {
    store<u8>(target, u8((multiple(load<f32>(x), factor, 7) + 8) | ((multiple(load<f32>(x, 4), factor, 7) + 8) << 4)))
  }
  return target
}

/** 0 where the factor is 0 or not a number. A factor that float32 holds as a subnormal may be too small: clamped. */
// @ts-ignore: decorator
@inline
function multiple(x: f32, factor: f32, levels: i32): i32 {
  return factor > 0 ? max(-levels, min(levels, i32(nearest(x / factor)))) : 0
}
