import type { Spread } from '../measure/statistics.ts'
import type { CaseReport, Measured, Row } from './report.ts'

/** Numbers and rows as people read them; the terminal, Markdown and HTML all say it this way. */

export function milliseconds(time: number): string {
  if (time < 1) return `${(time * 1000).toPrecision(3)} µs`
  return time < 1000 ? `${time.toPrecision(3)} ms` : `${(time / 1000).toPrecision(3)} s`
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toPrecision(3)} MiB`
}

/** `2.31× (2.25–2.40)`: the middle and the middle half of the pairs. */
export function ratio({ median, low, high }: Spread): string {
  return `${times(median)} (${bare(low)}–${bare(high)})`
}

export function times(factor: number): string {
  return `${bare(factor)}×`
}

/** What the case's arithmetic or traffic makes of the time: GFLOP/s, and GB/s where reading dominates. */
export function rate(result: CaseReport, { milliseconds: { median } }: Measured): string {
  const reading = result.bytes * 4 > result.flops
  return reading
    ? `${(result.bytes / median / 1e6).toPrecision(3)} GB/s`
    : `${(result.flops / median / 1e6).toPrecision(3)} GFLOP/s`
}

/** What a row says in place of figures, or undefined where it has figures. */
export function remark(row: Row): string | undefined {
  if (row.status === 'measured') return undefined
  if (row.status === 'wrong') return `wrong result (off by ${row.agreement.relative.toPrecision(2)} of its size)`
  return `${row.status}: ${row.reason}`
}

/** How exact: errors up to the bound of a correct float32 kernel count as exact. */
export function exactness({ agreement: { ofBound, relative } }: Measured): string {
  return ofBound <= 1 ? `exact (${ofBound.toPrecision(2)} of bound)` : `off by ${relative.toPrecision(2)}`
}

function bare(factor: number): string {
  return factor >= 100 ? factor.toFixed(0) : factor.toPrecision(3)
}
