/** Reading a layer's record. */
import * as layer from '../src/wasm/layer-record'
import { float32 } from '../src/wasm/record'
import { asFloats, floatBytes } from './elements'

/** Whether nothing has to be converted. What is missing counts as float32, whose number is 0. */
export function allFloat32(record: usize): bool {
  return float32 == (load<i32>(record, layer.input + layer.dtype) | load<i32>(record, layer.weight + layer.dtype) |
    load<i32>(record, layer.bias + layer.dtype) | load<i32>(record, layer.output + layer.dtype))
}

/** `n` elements of a contiguous operand, from element `first` on, as float32: where they lie, or converted into `room`. */
export function floatsOf(operand: usize, first: i32, n: i32, room: usize): usize {
  const dtype = load<i32>(operand, layer.dtype), step = floatBytes(dtype)
  return asFloats(load<usize>(operand) + first * step, step, dtype, n, room)
}
