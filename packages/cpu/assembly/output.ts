/** What remains once a panel has seen all its keys. */
import * as record from '../src/wasm/record'
import { storeElements } from './elements'
import { wholePanels } from './pack'
import { int, pointer, vectorOf } from './problem'
import * as rows from './rows'
import { splat } from './vector'

/** output = o · (1 / l) and lse = m + log l, of the panel's first `lanes` rows; a row that saw nothing is 0 and −∞. */
export function finishPanel(problem: usize, batch: i32, panel: usize, o: usize, lanes: i32): void {
  const valueDim = int(problem, record.valueDim)
  const dtype = int(problem, record.output + record.dtype), step = int(problem, record.output + record.elementStride)
  const lse = pointer(problem, record.lse)
  const queryHeads = int(problem, record.queryHeads), queryLength = int(problem, record.queryLength)
  const rowBytes = usize(wholePanels(valueDim)) << 2
  for (let lane = 0; lane < lanes; lane++, o += rowBytes) {
    const at = panel + (lane << 2)
    const head = load<i32>(at, rows.heads), row = load<i32>(at, rows.indices)
    const l = load<f32>(at, rows.sums)
    const target = vectorOf(problem, record.output, batch, head, row), normaliser: f32 = l == 0 ? 1 : 1 / l
    if (dtype == record.float32 && step == 4 && (valueDim & 3) == 0) scaleVector(o, valueDim, normaliser, target)
    else {
      scaleVector(o, valueDim, normaliser, o)
      storeElements(o, valueDim, target, step, dtype)
    }
    if (lse != 0) {
      const number = (batch * queryHeads + head) * queryLength + row
      store<f32>(lse + (usize(number) << 2), l == 0 ? -Infinity : load<f32>(at, rows.maxima) + Mathf.log(l))
    }
  }
}

function scaleVector(vector: usize, n: i32, factor: f32, target: usize): void {
  const end = vector + (usize(n) << 2), x = splat(factor)
  for (; vector < end; vector += 16, target += 16) v128.store(target, f32x4.mul(v128.load(vector), x))
}
