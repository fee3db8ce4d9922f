/**
 * Rotary embedding of float32 vectors: pairs (x, y) of elements turn by an angle of the vector's position,
 *
 *     x' = x·cos − y·sin      y' = y·cos + x·sin
 *
 * the pairs lying half the rotated dim apart, or next to each other; elements beyond the rotated dim pass through.
 */
import * as record from '../src/wasm/rotary-record'
import { vectorOf } from './problem'

/** One head of one batch entry. Elements of vectors lie side by side. */
export function rotate(rotation: usize, unit: i32, _scratch: usize): void {
  const heads = load<i32>(rotation, record.heads), length = load<i32>(rotation, record.length)
  const headDim = load<i32>(rotation, record.headDim), dim = load<i32>(rotation, record.dim)
  const batch = unit / heads, head = unit % heads
  for (let row = 0; row < length; row++) {
    const source = vectorOf(rotation, record.input, batch, head, row), target = vectorOf(rotation, record.output, batch, head, row)
    const cos = vectorOf(rotation, record.cos, batch, head, row), sin = vectorOf(rotation, record.sin, batch, head, row)
    if (load<i32>(rotation, record.layout) == record.half) rotateHalves(source, target, cos, sin, dim >> 1)
    else rotateNeighbours(source, target, cos, sin, dim >> 1)
    memory.copy(target + (usize(dim) << 2), source + (usize(dim) << 2), usize(headDim - dim) << 2)
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
