import { differs, type Spread } from '../measure/statistics.ts'
import type { BenchReport, Measured, Row } from './report.ts'
import { milliseconds, times } from './words.ts'

export interface Change {
  readonly bench: string
  readonly peer: string
  /** What the spreads are of: the time of QKV's own row, in milliseconds, or a peer's ratio to it. */
  readonly of: 'time' | 'ratio'
  readonly before: Spread
  readonly after: Spread
  /** After over before, of medians: below 1, a time became shorter, or QKV's lead over the peer smaller. */
  readonly factor: number
  readonly beyondNoise: boolean
}

/**
 * What two reports say differently about the rows that both measured. Where a row has ratios those are compared, for they
 * do not change with the machine's mood; QKV's own rows have only times.
 */
export function compareReports(before: BenchReport, after: BenchReport): readonly Change[] {
  const earlier = new Map(measuredRows(before).map(([bench, row]) => [`${bench} ${row.peer}`, row]))
  return measuredRows(after).flatMap(([bench, row]) => {
    const known = earlier.get(`${bench} ${row.peer}`)
    if (known === undefined) return []
    const [of, was, is] =
      known.ratio && row.ratio
        ? (['ratio', known.ratio, row.ratio] as const)
        : (['time', known.milliseconds, row.milliseconds] as const)
    return [{ bench, peer: row.peer, of, before: was, after: is, factor: is.median / was.median, beyondNoise: differs(was, is) }]
  })
}

/** One line a change beyond noise, the largest first; or that there is none. */
export function describeChanges(changes: readonly Change[]): string {
  if (changes.length === 0) return 'The reports have no row in common.'
  const beyond = changes
    .filter(({ beyondNoise }) => beyondNoise)
    .sort((a, b) => Math.abs(Math.log(b.factor)) - Math.abs(Math.log(a.factor)))
  if (beyond.length === 0) return `${changes.length} rows compared; none changed beyond noise.`
  const lines = beyond.map(({ bench, peer, of, before, after, factor }) =>
    of === 'time'
      ? `${bench}  ${peer}: ${milliseconds(before.median)} → ${milliseconds(after.median)} (${times(factor)} the time)`
      : `${bench}  against ${peer}: QKV ${times(before.median)} → ${times(after.median)} as fast`,
  )
  return [`${changes.length} rows compared; ${beyond.length} changed beyond noise:`, ...lines].join('\n')
}

function measuredRows(report: BenchReport): [string, Row & Measured][] {
  return report.cases.flatMap(({ bench, rows }) =>
    rows.flatMap((row): [string, Row & Measured][] => (row.status === 'measured' ? [[bench.id, row]] : [])),
  )
}
