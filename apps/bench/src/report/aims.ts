import { against, callCost, memoryBeyond, ofCeiling, portable, rateBeside, sharing, twoThreads, type Figure } from './figures.ts'
import type { BenchReport, CaseReport } from './report.ts'

/** A promise of speed or memory, and the figure that tells whether it is kept. */
interface Aim {
  readonly what: string
  /** Names of the cases that can tell. */
  readonly asks: RegExp
  readonly figure: Figure
  readonly bound: Bound
}

interface Bound {
  readonly sign: '≥' | '≤'
  readonly limit: number
  readonly unit: '×' | ' µs' | ' MiB' | ' of the ceiling'
}

const onnx = against('onnxruntime-web/wasm')

/** What QKV aims at on the processor. Each figure stands whether it is reached or missed. */
// prettier-ignore
const aims: readonly Aim[] = [
  { what: 'Full prefill, heads of 64, against ONNX Runtime Web', asks: /^prefill\/full-64\//, figure: onnx, bound: times(2) },
  { what: 'Full prefill, heads of 128, against ONNX Runtime Web', asks: /^prefill\/full-128\//, figure: onnx, bound: times(2.3) },
  { what: 'Causal prefill against ONNX Runtime Web', asks: /^prefill\/causal-/, figure: onnx, bound: times(4) },
  { what: 'Full prefill, heads of 64, of all multiply-adds', asks: /^prefill\/full-64\//, figure: ofCeiling, bound: share(0.68) },
  { what: 'Full prefill, heads of 128, of all multiply-adds', asks: /^prefill\/full-128\//, figure: ofCeiling, bound: share(0.78) },
  { what: 'Decoding, grouped heads of 128, against ONNX Runtime Web', asks: /^decode\/llama-3-8b\//, figure: onnx, bound: times(2) },
  { what: 'Decoding, grouped heads of 128, of all reading', asks: /^decode\/llama-3-8b\//, figure: ofCeiling, bound: share(0.85) },
  { what: 'Float16 and int8 caches against float32', asks: /^cache\/(float16|int8)\//, figure: rateBeside(/^cache\/\w+/, 'decode'), bound: times(1) },
  { what: 'The gradient’s rate against the forward pass’s', asks: /^gradient\//, figure: rateBeside(/^gradient/, 'prefill'), bound: times(0.6) },
  { what: 'Projections against ONNX Runtime Web', asks: /^linear\//, figure: onnx, bound: times(1.5) },
  { what: 'Up to 64 tokens, against ONNX Runtime Web', asks: /^(small\/full|overhead\/call)/, figure: onnx, bound: times(5) },
  { what: 'A call next to no arithmetic', asks: /^overhead\/call\//, figure: callCost, bound: atMost(5, ' µs') },
  { what: 'Sharing: two threads’ time less half of one’s', asks: /^overhead\/sharing\//, figure: sharing, bound: atMost(20, ' µs') },
  { what: 'Two threads against one', asks: /^(prefill|gradient|training)\//, figure: twoThreads, bound: times(1.85) },
  { what: 'Memory of long sequences beyond inputs and output', asks: /^growth\//, figure: memoryBeyond, bound: atMost(4, ' MiB') },
  { what: 'Portable JavaScript against three plain loops', asks: /^(prefill|decode|small)/, figure: portable, bound: times(1.5) },
  { what: 'A small model that writes, against portable', asks: /^writing\//, figure: against('qkv/javascript'), bound: times(10) },
]

/** How a report meets one of the aims: the figures of all its cases that can tell. */
export interface AimReport {
  readonly what: string
  /** E.g. `≥ 1.85×`. */
  readonly bound: string
  /** E.g. `1.91–1.97×`; a dash where nothing was measured. */
  readonly here: string
  readonly cases: number
  readonly reached: number
  /** Further cases that could have told, but whose time was over, or that failed. */
  readonly notMeasured: number
}

/** The aims that a report's cases can tell about. */
export function aimsOf(report: BenchReport): readonly AimReport[] {
  return aims.flatMap(({ what, asks, figure, bound: { sign, limit, unit } }) => {
    if (figure.tells?.(report) === false) return []
    const results = report.cases.filter(({ bench }) => asks.test(bench.id))
    const figures = results.flatMap((result) => figure.of(result, report) ?? [])
    const notMeasured = results.filter((result) => isLeftOut(result, figure, report)).length
    if (figures.length + notMeasured === 0) return []
    const reached = figures.filter((each) => (sign === '≥' ? each >= limit : each <= limit)).length
    const here = figures.length === 0 ? '—' : `${range(figures)}${unit}`
    return [{ what, bound: `${sign} ${limit}${unit}`, here, cases: figures.length, reached, notMeasured }]
  })
}

/** In every case that was measured. */
export function isReached({ reached, cases }: AimReport): boolean {
  return cases > 0 && reached === cases
}

/** `2 of 3`, and how many more were not measured. */
export function reachedIn({ reached, cases, notMeasured }: AimReport): string {
  return `${reached} of ${cases}${notMeasured === 0 ? '' : `, ${notMeasured} not measured`}`
}

/** Whether rows of a figure are missing though all whom it needs took part in the run. */
function isLeftOut({ rows }: CaseReport, { contestants }: Figure, { peers }: BenchReport): boolean {
  const ready = new Set(peers.flatMap(({ id, status }) => (status === 'ready' ? [id] : [])))
  if (!contestants.every((id) => ready.has(id))) return false
  return rows.some(({ peer, status }) => contestants.includes(peer) && status !== 'measured')
}

function range(figures: readonly number[]): string {
  const [least, most] = [Math.min(...figures), Math.max(...figures)].map((each) => Number(each.toPrecision(3)))
  return least === most ? `${least}` : `${least}–${most}`
}

function times(limit: number): Bound {
  return { sign: '≥', limit, unit: '×' }
}

function share(limit: number): Bound {
  return { sign: '≥', limit, unit: ' of the ceiling' }
}

function atMost(limit: number, unit: Bound['unit']): Bound {
  return { sign: '≤', limit, unit }
}
