/** What remains once a panel has seen all its keys. */
import * as record from '../src/wasm/record'
import { storeElements } from './elements'
import { wholePanels } from './pack'
import { int, pointer, vectorOf } from './problem'
import * as rows from './rows'
import { splat } from './vector'

/** output = o / l and lse = m + log l, of the panel's first `lanes` rows; a row that saw nothing is 0 and −∞. */
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
    if (l != 0) divide(o, valueDim, l)
    storeElements(o, valueDim, vectorOf(problem, record.output, batch, head, row), step, dtype)
    if (lse != 0) {
      const number = (batch * queryHeads + head) * queryLength + row
      store<f32>(lse + (usize(number) << 2), l == 0 ? -Infinity : load<f32>(at, rows.maxima) + Mathf.log(l))
    }
  }
}

function divide(vector: usize, n: i32, divisor: f32): void {
  const end = vector + (usize(n) << 2)
  for (; vector < end; vector += 16) v128.store(vector, f32x4.div(v128.load(vector), splat(divisor)))
}
