import type { Spread } from '../measure/statistics.ts'
import { operandBytes } from '../cases/case.ts'
import type { CaseReport, Measured, Row } from './report.ts'

/** Numbers and rows as people read them; the terminal, Markdown and HTML all say it this way. */

export function milliseconds(time: number): string {
  if (time < 1) return `${(time * 1000).toPrecision(3)} µs`
  return time < 1000 ? `${time.toPrecision(3)} ms` : `${(time / 1000).toPrecision(3)} s`
}

export function mebibytes(bytes: number): string {
  const size = bytes / 2 ** 20
  return `${size < 1000 ? size.toPrecision(3) : count(Math.round(size))} MiB`
}

/** `2.31× (2.25–2.40)`: the middle and the middle half of the pairs. */
export function ratio({ median, low, high }: Spread): string {
  return `${times(median)} (${bare(low)}–${bare(high)})`
}

export function times(factor: number): string {
  return `${bare(factor)}×`
}

/** Tokens a second where different layers or whole models compete, GB/s where reading dominates, else GFLOP/s. */
export function rate({ bench, bytes, flops }: CaseReport, { milliseconds: { median } }: Measured): string {
  const tokens = bench.kind === 'writing' ? bench.tokens : bench.kind === 'sequence' ? bench.length : undefined
  if (tokens !== undefined) return `${count(Math.round((1000 * tokens) / median))} tokens/s`
  const reading = bytes * 4 > flops
  return `${((reading ? bytes : flops) / median / 1e6).toPrecision(3)} ${reading ? 'GB/s' : 'GFLOP/s'}`
}

/** What a case is, in one line. */
export function question({ bench, flops }: Pick<CaseReport, 'bench' | 'flops'>): string {
  const work = `${Number((flops / 1e9).toPrecision(3))} GFLOP`
  if (bench.kind !== 'attention') return `${bench.source}; ${work}`
  const { queryHeads, keyHeads, queryLength, keyLength, headDim, source } = bench
  const heads =
    queryHeads === keyHeads ? `${queryHeads} head${queryHeads === 1 ? '' : 's'}` : `${queryHeads} heads over ${keyHeads}`
  const lengths = queryLength === keyLength ? `${count(keyLength)} tokens` : `${count(queryLength)} over ${count(keyLength)} tokens`
  return `${source}; ${heads} of ${headDim}, ${lengths}; ${work}`
}

export function count(whole: number): string {
  return whole.toLocaleString('en')
}

/** What a row says in place of figures, or undefined where it has figures. */
export function remark(row: Row): string | undefined {
  if (row.status === 'measured') return undefined
  if (row.status === 'wrong') return `wrong result (off by ${row.agreement.relative.toPrecision(2)} of its size)`
  return `${row.status}: ${row.reason}`
}

/** Contestants that came to no figures, those with the same reason together. */
export function leftOut(rows: readonly Row[]): readonly { readonly reason: string; readonly rows: readonly Row[] }[] {
  const byReason = new Map<string, Row[]>()
  for (const row of rows) {
    const reason = remark(row)
    if (reason !== undefined) byReason.set(reason, [...(byReason.get(reason) ?? []), row])
  }
  return [...byReason].map(([reason, those]) => ({ reason, rows: those }))
}

/** How exact: errors up to the bound of a correct float32 kernel count as exact. */
export function exactness({ agreement: { ofBound, relative } }: Measured): string {
  if (relative === 0) return 'the same'
  if (ofBound === null || ofBound > 1) return `off by ${relative.toPrecision(2)}`
  return `exact (${ofBound.toPrecision(2)} of bound)`
}

/** How exact, and of a growing case's step how much memory it took: the whole process, and what the library says of itself. */
export function findings(result: CaseReport, row: Measured): string {
  const { peakBytes, reservedBytes } = row.memory
  const { bench } = result
  if (bench.sweep === undefined || peakBytes === undefined) return exactness(row)
  const beyond =
    reservedBytes === undefined || bench.kind !== 'attention'
      ? ''
      : `, ${mebibytes(reservedBytes - operandBytes(bench))} taken beyond inputs and output`
  return `${exactness(row)}, ${mebibytes(peakBytes)} of memory${beyond}`
}

function bare(factor: number): string {
  return factor >= 100 ? factor.toFixed(0) : factor.toPrecision(3)
}
