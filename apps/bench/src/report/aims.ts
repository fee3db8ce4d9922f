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
  const rate = rateOf(result)
  return rate === undefined || rooflines === undefined ? undefined : rate / ceilingAt(rooflines, result.flops / result.bytes)
}

/** QKV's rate beside its rate in another case, whose name is the same but for its beginning. */
function rateBeside(beginning: RegExp, another: string): Aim['figure'] {
  return (result, { cases }) => {
    const other = cases.find(({ bench }) => bench.id === result.bench.id.replace(beginning, another))
    const [here, there] = [rateOf(result), other && rateOf(other)]
    return here === undefined || there === undefined ? undefined : here / there
  }
}

/** In 10⁹ operations a second. */
function rateOf(result: CaseReport): number | undefined {
  const own = measuredOf(result, 'qkv/cpu')
  return own && result.flops / own.milliseconds.median / 1e6
}

function callCost(result: CaseReport): number | undefined {
  return microseconds(measuredOf(result, 'qkv/cpu'))
}

function sharing(result: CaseReport, { threads }: BenchReport): number | undefined {
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
