/** Activations, and sums and products of elements: contiguous, of float dtypes. */
import * as record from '../src/wasm/layer-record'
import { float32 } from '../src/wasm/record'
import { floatBytes, storeElements } from './elements'
import { exp } from './exp'
import { allFloat32, floatsOf } from './layer'
import { startAt, takeFloats, taken } from './scratch'
import { multiplyAdd, splat } from './vector'

/** Where what is no float32 is converted to. */
let x: usize, other: usize

function layOut(scratch: usize): usize {
  startAt(scratch)
  x = takeFloats(record.unitElements)
  other = takeFloats(record.unitElements)
  return taken()
}

export function activateScratch(layer: usize, _unit: i32, _scratch: usize): usize {
  return allFloat32(layer) ? 0 : layOut(0)
}

export function activate(layer: usize, unit: i32, scratch: usize): void {
  layOut(scratch)
  const operation = load<i32>(layer, record.operation)
  const first = unit * record.unitElements, n = min(record.unitElements, load<i32>(layer, record.inputs) - first)
  const source = floatsOf(layer + record.input, first, n, x), target = resultOf(layer, first)
  const bytes = usize(n) << 2, whole = bytes & ~15
  for (let i: usize = 0; i < whole; i += 16) v128.store(target + i, activated(operation, v128.load(source + i)))
  for (let i = whole; i < bytes; i += 4) store<f32>(target + i, f32x4.extract_lane(activated(operation, v128.load32_splat(source + i)), 0))
  storeResult(layer, first, n, target)
}

function activated(operation: i32, x: v128): v128 {
  if (operation == record.relu) return f32x4.max(x, splat(0))
  if (operation == record.silu) return f32x4.mul(x, logistic(x))
  if (operation == record.gelu) return f32x4.mul(x, normalDistribution(x))
  return geluTanh(x)
}

/** 1 / (1 + e^−x), from e^−|x|, which cannot overflow. */
// @ts-ignore: decorator
@inline
function logistic(x: v128): v128 {
  const e = exp(f32x4.neg(f32x4.abs(x)))
  const numerator = v128.bitselect(e, splat(1), f32x4.lt(x, splat(0)))
  return f32x4.div(numerator, f32x4.add(splat(1), e))
}

/** x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³))), which is x · logistic(twice that argument). */
// @ts-ignore: decorator
@inline
function geluTanh(x: v128): v128 {
  const cubic = f32x4.mul(f32x4.mul(f32x4.mul(x, x), x), splat(0.044715))
  return f32x4.mul(x, logistic(f32x4.mul(f32x4.add(x, cubic), splat(1.5957691216057308))))
}

/**
 * Φ(x) = 1 − tail(x) and Φ(−x) = tail(x), where for x ≥ 0, with t = 1 / (1 + 0.3275911 · x/√2),
 *
 *     tail(x) ≈ ½ · (a₁t + a₂t² + a₃t³ + a₄t⁴ + a₅t⁵) · e^(−x²/2)
 *
 * has an absolute error below 7.5e-8. Abramowitz and Stegun, Handbook of mathematical functions (1964), 7.1.26.
 */
function normalDistribution(x: v128): v128 {
  const size = f32x4.abs(x)
  const t = f32x4.div(splat(1), multiplyAdd(size, splat(0.23164189), splat(1)))
  let p = multiplyAdd(splat(0.5307027145), t, splat(-0.7265760135))
  p = multiplyAdd(p, t, splat(0.710706870))
  p = multiplyAdd(p, t, splat(-0.142248368))
  p = f32x4.mul(multiplyAdd(p, t, splat(0.127414796)), t)
  const tail = f32x4.mul(p, exp(f32x4.mul(f32x4.mul(x, x), splat(-0.5))))
  return v128.bitselect(tail, f32x4.sub(splat(1), tail), f32x4.lt(x, splat(0)))
}

/** `right` is repeated over and over where it is shorter: rows of `outputs` elements. */
export function combine(layer: usize, unit: i32, scratch: usize): void {
  layOut(scratch)
  const operation = load<i32>(layer, record.operation), period = load<i32>(layer, record.outputs)
  let first = unit * record.unitElements
  const end = min(load<i32>(layer, record.inputs), first + record.unitElements)
  while (first < end) {
    const within = first % period, n = min(end - first, period - within)
    const left = floatsOf(layer + record.input, first, n, x), right = floatsOf(layer + record.weight, within, n, other)
    const target = resultOf(layer, first)
    combineRun(operation, left, right, target, n)
    storeResult(layer, first, n, target)
    first += n
  }
}

export function combineScratch(layer: usize, _unit: i32, _scratch: usize): usize {
  return allFloat32(layer) ? 0 : layOut(0)
}

/** Where results are written: their place, or where they wait to be converted. */
function resultOf(layer: usize, first: i32): usize {
  return load<i32>(layer, record.output + record.dtype) == float32 ? load<usize>(layer, record.output) + (usize(first) << 2) : x
}

function storeResult(layer: usize, first: i32, n: i32, result: usize): void {
  const dtype = load<i32>(layer, record.output + record.dtype), step = floatBytes(dtype)
  if (dtype != float32) storeElements(result, n, load<usize>(layer, record.output) + first * step, step, dtype)
}

function combineRun(operation: i32, left: usize, right: usize, y: usize, n: i32): void {
  let i: usize = 0
  const end = usize(n) << 2, whole = usize(n & ~3) << 2
  if (operation == record.add) {
    for (; i < whole; i += 16) v128.store(y + i, f32x4.add(v128.load(left + i), v128.load(right + i)))
    for (; i < end; i += 4) store<f32>(y + i, load<f32>(left + i) + load<f32>(right + i))
  } else {
    for (; i < whole; i += 16) v128.store(y + i, f32x4.mul(v128.load(left + i), v128.load(right + i)))
    for (; i < end; i += 4) store<f32>(y + i, load<f32>(left + i) * load<f32>(right + i))
  }
}
