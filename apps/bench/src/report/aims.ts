import { operandBytes } from '../cases/case.ts'
import type { BenchReport, CaseReport, Measured, Row } from './report.ts'
import { ceilingAt } from './summary.ts'

/** A promise of speed or memory, as a figure that cases of a report give or do not. */
interface Aim {
  readonly what: string
  /** Names of the cases that can tell. */
  readonly asks: RegExp
  readonly figure: (result: CaseReport, report: BenchReport) => number | undefined
  readonly bound: Bound
}

interface Bound {
  readonly sign: '≥' | '≤'
  readonly limit: number
  readonly unit: '×' | ' µs' | ' MiB' | ' of the ceiling'
}

const ort = 'onnxruntime-web/wasm'

/** What QKV aims at on the processor. Each figure stands whether it is reached or missed. */
// prettier-ignore
const aims: readonly Aim[] = [
  { what: 'Full prefill, heads of 64, against ONNX Runtime Web', asks: /^prefill\/full-64\//, figure: against(ort), bound: times(2) },
  { what: 'Full prefill, heads of 128, against ONNX Runtime Web', asks: /^prefill\/full-128\//, figure: against(ort), bound: times(2.3) },
  { what: 'Causal prefill against ONNX Runtime Web', asks: /^prefill\/causal-/, figure: against(ort), bound: times(4) },
  { what: 'Full prefill, heads of 64, of the machine’s multiply-adds', asks: /^prefill\/full-64\//, figure: ofCeiling, bound: share(0.68) },
  { what: 'Full prefill, heads of 128, of the machine’s multiply-adds', asks: /^prefill\/full-128\//, figure: ofCeiling, bound: share(0.78) },
  { what: 'Decoding, grouped heads of 128, against ONNX Runtime Web', asks: /^decode\/llama-3-8b\//, figure: against(ort), bound: times(2) },
  { what: 'Decoding, grouped heads of 128, of what the machine reads', asks: /^decode\/llama-3-8b\//, figure: ofCeiling, bound: share(0.85) },
  { what: 'Projections against ONNX Runtime Web', asks: /^linear\//, figure: against(ort), bound: times(1.5) },
  { what: 'Up to 64 tokens, against a call of ONNX Runtime Web', asks: /^(small\/full|overhead\/call)/, figure: against(ort), bound: times(5) },
  { what: 'A call next to no arithmetic: checks, dispatch, reading', asks: /^overhead\/call\//, figure: callCost, bound: atMost(5, ' µs') },
  { what: 'Sharing among threads: time beyond one thread’s, divided', asks: /^overhead\/sharing\//, figure: sharingCost, bound: atMost(20, ' µs') },
  { what: 'Two threads against one', asks: /^(prefill|gradient|training)\//, figure: twoThreads, bound: times(1.85) },
  { what: 'Memory of long sequences beyond inputs and output', asks: /^growth\//, figure: memoryBeyond, bound: atMost(4, ' MiB') },
  { what: 'Portable JavaScript against three plain loops', asks: /^(prefill|decode|small)/, figure: portable, bound: times(1.5) },
  { what: 'A small model that writes, against portable JavaScript', asks: /^writing\//, figure: against('qkv/javascript'), bound: times(10) },
]

/** How a report meets one of the aims: the figures of all its cases that can tell. */
export interface AimReport {
  readonly what: string
  /** E.g. `≥ 1.85×`. */
  readonly bound: string
  /** E.g. `1.91–1.97×`. */
  readonly here: string
  readonly cases: number
  readonly reached: number
}

/** The aims that a report's cases can tell about. */
export function aimsOf(report: BenchReport): readonly AimReport[] {
  return aims.flatMap(({ what, asks, figure, bound: { sign, limit, unit } }) => {
    const figures = report.cases.filter(({ bench }) => asks.test(bench.id)).flatMap((result) => figure(result, report) ?? [])
    if (figures.length === 0) return []
    const reached = figures.filter((each) => (sign === '≥' ? each >= limit : each <= limit)).length
    const [least, most] = [Math.min(...figures), Math.max(...figures)].map((each) => Number(each.toPrecision(3)))
    const here = `${least === most ? least : `${least}–${most}`}${unit}`
    return [{ what, bound: `${sign} ${limit}${unit}`, here, cases: figures.length, reached }]
  })
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

/** How many times QKV’s own time a peer took. */
function against(peer: string): Aim['figure'] {
  return (result) => measuredOf(result, peer)?.ratio?.median
}

function ofCeiling(result: CaseReport, { rooflines }: BenchReport): number | undefined {
  const own = measuredOf(result, 'qkv/cpu')
  if (own === undefined || rooflines === undefined) return undefined
  const { flops, bytes } = result
  return flops / own.milliseconds.median / 1e6 / ceilingAt(rooflines, flops / bytes)
}

function callCost(result: CaseReport): number | undefined {
  return microseconds(measuredOf(result, 'qkv/cpu'))
}

function sharingCost(result: CaseReport, { threads }: BenchReport): number | undefined {
  const [shared, alone] = [callCost(result), microseconds(measuredOf(result, 'qkv/one-thread'))]
  return shared === undefined || alone === undefined ? undefined : shared - alone / threads
}

function twoThreads(result: CaseReport, { threads }: BenchReport): number | undefined {
  return threads === 2 ? measuredOf(result, 'qkv/one-thread')?.ratio?.median : undefined
}

function memoryBeyond(result: CaseReport): number | undefined {
  const reserved = measuredOf(result, 'qkv/cpu')?.memory.reservedBytes
  if (reserved === undefined || result.bench.kind !== 'attention') return undefined
  return (reserved - operandBytes(result.bench)) / 2 ** 20
}

function portable(result: CaseReport): number | undefined {
  const [loops, ours] = [measuredOf(result, 'plain-loop'), measuredOf(result, 'qkv/javascript')]
  return loops && ours && loops.milliseconds.median / ours.milliseconds.median
}

function measuredOf({ rows }: CaseReport, peer: string): (Row & Measured) | undefined {
  return rows.find((row): row is Row & Measured => row.peer === peer && row.status === 'measured')
}

function microseconds(row: Measured | undefined): number | undefined {
  return row && 1000 * row.milliseconds.median
}
