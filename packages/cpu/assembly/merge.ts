/**
 * The whole from its parts, row by row: with M = max lse of the parts, the output is Σ e^(lse − M) · output / Σ e^(lse − M),
 * and the whole lse M + log Σ e^(lse − M). A part that saw no key (lse −∞) takes no part, whatever its output holds.
 */
import * as record from '../src/wasm/vector-record'
import { storeElements } from './elements'
import { exp } from './exp'
import { startAt, takeFloats, taken } from './scratch'
import { multiplyAdd, negativeInfinity, splat } from './vector'
import { addressOf, dtypeOf, floatsOf, stepOf } from './vectors'

/** A part's vector as float32, and the whole one, which has room for whole vectors of four. */
let vector: usize, whole: usize

function layOut(merging: usize, scratch: usize): usize {
  const elements = load<i32>(merging, record.elements)
  startAt(scratch)
  vector = takeFloats(elements)
  whole = takeFloats(elements + 3)
  return taken()
}

export function mergeScratch(merging: usize, _unit: i32, _scratch: usize): usize {
  return layOut(merging, 0)
}

/** One head of one batch entry. */
export function merge(merging: usize, unit: i32, scratch: usize): void {
  layOut(merging, scratch)
  const length = load<i32>(merging, record.length), n = load<i32>(merging, record.elements)
  for (let row = 0; row < length; row++) {
    let m = negativeInfinity
    for (let part = nextPart(merging); part != 0; part = nextPart(part)) m = max(m, lseOf(part, unit, row))
    memory.fill(whole, 0, usize(n + 3) << 2)
    let sum: f32 = 0
    for (let part = nextPart(merging); part != 0; part = nextPart(part)) {
      const lse = lseOf(part, unit, row)
      if (lse == negativeInfinity) continue
      const weight = f32x4.extract_lane(exp(splat(lse - m)), 0)
      sum += weight
      addWeighted(weight, floatsOf(part, record.input, unit, row, n, vector), n)
    }
    if (sum != 0) divide(n, sum)
    const target = addressOf(merging, record.output, unit, row)
    storeElements(whole, n, target, stepOf(merging, record.output), dtypeOf(merging, record.output))
    store<f32>(load<usize>(merging, record.lse) + (usize(unit * length + row) << 2), sum == 0 ? negativeInfinity : m + Mathf.log(sum))
  }
}

/** Of the merging itself: the first. */
// @ts-ignore: decorator
@inline
function nextPart(part: usize): usize {
  return load<usize>(part, record.nextPart)
}

function lseOf(part: usize, unit: i32, row: i32): f32 {
  return load<f32>(addressOf(part, record.partLse, unit, row))
}

function addWeighted(weight: f32, x: usize, n: i32): void {
  const end = usize(n) << 2, vectors = usize(n & ~3) << 2
  let i: usize = 0
  for (; i < vectors; i += 16) v128.store(whole + i, multiplyAdd(splat(weight), v128.load(x + i), v128.load(whole + i)))
  for (; i < end; i += 4) store<f32>(whole + i, load<f32>(whole + i) + weight * load<f32>(x + i))
}

function divide(n: i32, sum: f32): void {
  for (let i: usize = 0; i < usize(n) << 2; i += 16) v128.store(whole + i, f32x4.div(v128.load(whole + i), splat(sum)))
}
