/**
 * Where vectors of a tensor [batch, heads, length, elements] lie. A unit of work is one head of one batch entry. Functions
 * of their own, not put in line: they are called once a vector, by many.
 */
import * as tensor from '../src/wasm/record'
import * as record from '../src/wasm/vector-record'
import { asFloats } from './elements'
import { vectorOf } from './problem'

export function addressOf(work: usize, view: i32, unit: i32, row: i32): usize {
  const heads = load<i32>(work, record.heads)
  return vectorOf(work, view, unit / heads, unit % heads, row)
}

/** Its `n` elements as float32: where they lie, or converted into `room`. */
export function floatsOf(work: usize, view: i32, unit: i32, row: i32, n: i32, room: usize): usize {
  return asFloats(addressOf(work, view, unit, row), stepOf(work, view), dtypeOf(work, view), n, room)
}

// @ts-ignore: decorator
@inline
export function dtypeOf(work: usize, view: i32): i32 {
  return load<i32>(work + view, tensor.dtype)
}

/** Bytes from one element to the next. */
// @ts-ignore: decorator
@inline
export function stepOf(work: usize, view: i32): i32 {
  return load<i32>(work + view, tensor.elementStride)
}
