/** Elements moved from one place to another, and converted from one float dtype to another on the way. */
import * as layer from '../src/wasm/layer-record'
import * as tensor from '../src/wasm/record'
import * as record from '../src/wasm/vector-record'
import { loadElements, storeElements } from './elements'
import { addressOf, dtypeOf, stepOf } from './vectors'

/** One head of one batch entry. */
export function copy(copying: usize, unit: i32, scratch: usize): void {
  const length = load<i32>(copying, record.length), n = load<i32>(copying, record.elements)
  const step = stepOf(copying, record.input), dtype = dtypeOf(copying, record.input)
  const targetStep = stepOf(copying, record.output), targetDtype = dtypeOf(copying, record.output)
  for (let row = 0; row < length; row++) {
    const source = addressOf(copying, record.input, unit, row), target = addressOf(copying, record.output, unit, row)
    moveElements(source, step, dtype, target, targetStep, targetDtype, n, scratch)
  }
}

/** For a vector on its way from one dtype to another. */
export function copyScratch(copying: usize, _unit: i32, _scratch: usize): usize {
  const converts = dtypeOf(copying, record.input) != dtypeOf(copying, record.output)
  return converts ? usize(load<i32>(copying, record.elements)) << 2 : 0
}

/** Rows of a table, the input, by their numbers, which lie without gaps in place of the weight. */
export function gather(gathering: usize, unit: i32, _scratch: usize): void {
  const n = load<i32>(gathering, layer.inputs), end = min((unit + 1) * layer.unitRows, load<i32>(gathering, layer.rows))
  const from = gathering + layer.input, to = gathering + layer.output
  const dtype = load<i32>(from, layer.dtype)
  for (let row = unit * layer.unitRows; row < end; row++) {
    const number = load<i32>(load<usize>(gathering, layer.weight) + (usize(row) << 2))
    moveElements(
      load<usize>(from) + number * load<i32>(from, layer.rowStride), load<i32>(from, layer.elementStride), dtype,
      load<usize>(to) + row * load<i32>(to, layer.rowStride), load<i32>(to, layer.elementStride), dtype,
      n, 0,
    )
  }
}

function moveElements(source: usize, from: i32, dtype: i32, target: usize, to: i32, targetDtype: i32, n: i32, room: usize): void {
  if (dtype != targetDtype) {
    loadElements(source, from, dtype, n, room)
    storeElements(room, n, target, to, targetDtype)
    return
  }
  const bytes = bytesOf(dtype)
  if (from == bytes && to == bytes) memory.copy(target, source, usize(n * bytes))
  else if (bytes == 4) for (let i = 0; i < n; i++, source += from, target += to) store<u32>(target, load<u32>(source))
  else if (bytes == 2) for (let i = 0; i < n; i++, source += from, target += to) store<u16>(target, load<u16>(source))
  else for (let i = 0; i < n; i++, source += from, target += to) store<u8>(target, load<u8>(source))
}

function bytesOf(dtype: i32): i32 {
  if (dtype == tensor.float32 || dtype == tensor.int32) return 4
  return dtype == tensor.float16 || dtype == tensor.bfloat16 ? 2 : 1
}
