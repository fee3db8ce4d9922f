/** What stands between attention and linear layers: norms, activations, sums and products of elements, by rows. */
import * as record from '../src/wasm/layer-record'
import { exp } from './exp'
import { multiplyAdd, splat, sumOfLanes } from './vector'

/** Rows that one unit takes. */
export const unitRows: i32 = 16

/** Contiguous float32 rows: x / √(mean(x²) + ε) · weight, or (x − mean) / √(variance + ε) · weight + bias. */
export function normalise(layer: usize, unit: i32, _scratch: usize): void {
  const n = load<i32>(layer, record.inputs)
  const end = min((unit + 1) * unitRows, load<i32>(layer, record.rows))
  const centred = load<i32>(layer, record.operation) == record.meanAndDeviation
  const weight = load<usize>(layer, record.weight), bias = load<usize>(layer, record.bias)
  for (let row = unit * unitRows; row < end; row++) {
    const offset = usize(row * n) << 2
    const x = load<usize>(layer, record.input) + offset, y = load<usize>(layer, record.output) + offset
    const mean: f32 = centred ? sum(x, n) / f32(n) : 0
    const deviation = sqrt(sumOfSquares(x, n, mean) / f32(n) + load<f32>(layer, record.epsilon))
    scaleRow(x, y, n, mean, deviation, weight, bias)
  }
}

function sum(x: usize, n: i32): f32 {
  const end = x + (usize(n) << 2), whole = x + (usize(n & ~3) << 2)
  let lanes = splat(0)
  for (; x < whole; x += 16) lanes = f32x4.add(lanes, v128.load(x))
  let total = sumOfLanes(lanes)
  for (; x < end; x += 4) total += load<f32>(x)
  return total
}

function sumOfSquares(x: usize, n: i32, mean: f32): f32 {
  const end = x + (usize(n) << 2), whole = x + (usize(n & ~3) << 2)
  let lanes = splat(0)
  for (; x < whole; x += 16) {
    const distance = f32x4.sub(v128.load(x), splat(mean))
    lanes = multiplyAdd(distance, distance, lanes)
  }
  let total = sumOfLanes(lanes)
  for (; x < end; x += 4) total += (load<f32>(x) - mean) * (load<f32>(x) - mean)
  return total
}

function scaleRow(x: usize, y: usize, n: i32, mean: f32, deviation: f32, weight: usize, bias: usize): void {
  let i: usize = 0
  const end = usize(n) << 2, whole = usize(n & ~3) << 2
  for (; i < whole; i += 16) {
    const unit = f32x4.div(f32x4.sub(v128.load(x + i), splat(mean)), splat(deviation))
    const scaled = f32x4.mul(unit, v128.load(weight + i))
    v128.store(y + i, bias == 0 ? scaled : f32x4.add(scaled, v128.load(bias + i)))
  }
  for (; i < end; i += 4) {
    const scaled = (load<f32>(x + i) - mean) / deviation * load<f32>(weight + i)
    store<f32>(y + i, bias == 0 ? scaled : scaled + load<f32>(bias + i))
  }
}

/** Elements that one unit takes. */
export const unitElements: i32 = 4096

/** Contiguous float32 elements. */
export function activate(layer: usize, unit: i32, _scratch: usize): void {
  const operation = load<i32>(layer, record.operation)
  const n = load<i32>(layer, record.inputs), first = unit * unitElements
  const offset = usize(first) << 2
  const x = load<usize>(layer, record.input) + offset, y = load<usize>(layer, record.output) + offset
  const bytes = usize(min(unitElements, n - first)) << 2, whole = bytes & ~15
  for (let i: usize = 0; i < whole; i += 16) v128.store(y + i, activated(operation, v128.load(x + i)))
  for (let i = whole; i < bytes; i += 4) store<f32>(y + i, f32x4.extract_lane(activated(operation, v128.load32_splat(x + i)), 0))
}

// @ts-ignore: decorator
@inline
function activated(operation: i32, x: v128): v128 {
  if (operation == record.relu) return f32x4.max(x, splat(0))
  if (operation == record.silu) return f32x4.mul(x, logistic(x))
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

/** Contiguous float32 elements, `right` repeated over and over where it is shorter: rows of `outputs` elements. */
export function combine(layer: usize, unit: i32, _scratch: usize): void {
  const operation = load<i32>(layer, record.operation)
  const n = load<i32>(layer, record.inputs), period = load<i32>(layer, record.outputs)
  const left = load<usize>(layer, record.input), right = load<usize>(layer, record.weight), y = load<usize>(layer, record.output)
  let i = unit * unitElements
  const end = min(n, i + unitElements)
  while (i < end) {
    const within = i % period, run = min(end - i, period - within)
    combineRun(operation, left + (usize(i) << 2), right + (usize(within) << 2), y + (usize(i) << 2), run)
    i += run
  }
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
