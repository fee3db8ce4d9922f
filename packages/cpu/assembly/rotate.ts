/**
 * Rotary embedding: pairs (x, y) of a vector's elements turn by an angle of the vector's position,
 *
 *     x' = x·cos − y·sin      y' = y·cos + x·sin
 *
 * the pairs lying half the rotated dim apart, or next to each other; elements beyond the rotated dim pass through.
 */
import * as tensor from '../src/wasm/record'
import * as record from '../src/wasm/vector-record'
import { storeElements } from './elements'
import { startAt, takeFloats, taken } from './scratch'
import { addressOf, dtypeOf, floatsOf, stepOf } from './vectors'

/** Where what is no float32 without gaps is converted to: a vector before and after, cosines and sines. */
let before: usize, after: usize, cosines: usize, sines: usize

function layOut(rotation: usize, scratch: usize): usize {
  const elements = load<i32>(rotation, record.elements)
  startAt(scratch)
  before = takeFloats(elements)
  after = takeFloats(elements)
  cosines = takeFloats(elements)
  sines = takeFloats(elements)
  return taken()
}

export function rotateScratch(rotation: usize, _unit: i32, _scratch: usize): usize {
  const vectors = isPlain(rotation, record.input) && isPlain(rotation, record.output)
  const plain = vectors && isPlain(rotation, record.cos) && isPlain(rotation, record.sin)
  return plain ? 0 : layOut(rotation, 0)
}

/** Whether vectors are float32 without gaps. */
function isPlain(rotation: usize, view: i32): bool {
  return dtypeOf(rotation, view) == tensor.float32 && stepOf(rotation, view) == 4
}

/** One head of one batch entry. */
export function rotate(rotation: usize, unit: i32, scratch: usize): void {
  layOut(rotation, scratch)
  const length = load<i32>(rotation, record.length), elements = load<i32>(rotation, record.elements)
  const pairs = load<i32>(rotation, record.dim) >> 1
  for (let row = 0; row < length; row++) {
    const target = addressOf(rotation, record.output, unit, row)
    const x = floatsOf(rotation, record.input, unit, row, elements, before)
    const y = isPlain(rotation, record.output) ? target : after
    const cos = floatsOf(rotation, record.cos, unit, row, pairs, cosines)
    const sin = floatsOf(rotation, record.sin, unit, row, pairs, sines)
    if (load<i32>(rotation, record.layout) == record.half) rotateHalves(x, y, cos, sin, pairs)
    else rotateNeighbours(x, y, cos, sin, pairs)
    memory.copy(y + (usize(pairs) << 3), x + (usize(pairs) << 3), usize(elements - 2 * pairs) << 2)
    if (y != target) storeElements(y, elements, target, stepOf(rotation, record.output), dtypeOf(rotation, record.output))
  }
}

function rotateHalves(source: usize, target: usize, cos: usize, sin: usize, pairs: i32): void {
  const half = usize(pairs) << 2, whole = usize(pairs & ~3) << 2
  let i: usize = 0
  for (; i < whole; i += 16) {
    const x = v128.load(source + i), y = v128.load(source + half + i)
    const c = v128.load(cos + i), s = v128.load(sin + i)
    v128.store(target + i, f32x4.sub(f32x4.mul(x, c), f32x4.mul(y, s)))
    v128.store(target + half + i, f32x4.add(f32x4.mul(y, c), f32x4.mul(x, s)))
  }
  for (; i < half; i += 4) rotatePair(source + i, source + half + i, target + i, target + half + i, load<f32>(cos + i), load<f32>(sin + i))
}

function rotateNeighbours(source: usize, target: usize, cos: usize, sin: usize, pairs: i32): void {
  for (let i: usize = 0; i < usize(pairs) << 2; i += 4) {
    rotatePair(source + 2 * i, source + 2 * i + 4, target + 2 * i, target + 2 * i + 4, load<f32>(cos + i), load<f32>(sin + i))
  }
}

// @ts-ignore: decorator
@inline
function rotatePair(x: usize, y: usize, newX: usize, newY: usize, cos: f32, sin: f32): void {
  const a = load<f32>(x), b = load<f32>(y)
  store<f32>(newX, a * cos - b * sin)
  store<f32>(newY, b * cos + a * sin)
}
