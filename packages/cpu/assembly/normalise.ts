/** x / √(mean(x²) + ε) · weight, or (x − mean) / √(variance + ε) · weight + bias, of contiguous rows x of a float dtype. */
import * as record from '../src/wasm/layer-record'
import { float32 } from '../src/wasm/record'
import { floatBytes, storeElements } from './elements'
import { allFloat32, floatsOf } from './layer'
import { startAt, takeFloats, taken } from './scratch'
import { multiplyAdd, splat, sumOfLanes } from './vector'

/** Where what is no float32 is converted to: a row, and weight and bias. */
let row: usize, factors: usize, offsets: usize

function layOut(layer: usize, scratch: usize): usize {
  const n = load<i32>(layer, record.inputs)
  startAt(scratch)
  row = takeFloats(n)
  factors = takeFloats(n)
  offsets = takeFloats(n)
  return taken()
}

export function normaliseScratch(layer: usize, _unit: i32, _scratch: usize): usize {
  return allFloat32(layer) ? 0 : layOut(layer, 0)
}

export function normalise(layer: usize, unit: i32, scratch: usize): void {
  layOut(layer, scratch)
  const n = load<i32>(layer, record.inputs)
  const end = min((unit + 1) * record.unitRows, load<i32>(layer, record.rows))
  const centred = load<i32>(layer, record.operation) == record.meanAndDeviation
  const weight = floatsOf(layer + record.weight, 0, n, factors)
  const bias = load<usize>(layer, record.bias) == 0 ? 0 : floatsOf(layer + record.bias, 0, n, offsets)
  const dtype = load<i32>(layer, record.output + record.dtype), step = floatBytes(dtype)
  for (let number = unit * record.unitRows; number < end; number++) {
    const x = floatsOf(layer + record.input, number * n, n, row)
    const target = load<usize>(layer, record.output) + number * n * step
    const y = dtype == float32 ? target : row
    const mean: f32 = centred ? sum(x, n) / f32(n) : 0
    const deviation = sqrt(sumOfSquares(x, n, mean) / f32(n) + load<f32>(layer, record.epsilon))
    scaleRow(x, y, n, mean, deviation, weight, bias)
    if (y != target) storeElements(y, n, target, step, dtype)
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
