import { differs } from '../measure/statistics.ts'
import { isOtherBuild } from '../peers/other-build.ts'
import { compareReports } from './compare.ts'
import type { BenchReport, CaseReport, Row } from './report.ts'

/** What a check for regressions found, a line each. It passes where something was compared and nothing regressed. */
export interface Regressions {
  /** How many cases were compared. */
  readonly compared: number
  readonly regressed: readonly string[]
  /** Cases that say nothing, and why. */
  readonly notCompared: readonly string[]
}

/**
 * Since a saved report: where QKV fell behind other libraries, or no longer gives a result. Its bare times do not say, for the
 * machine may be slower.
 */
export function regressionsSince(before: BenchReport, after: BenchReport): Regressions {
  const changes = compareReports(before, after).filter(({ of, peer }) => of === 'ratio' && !peer.startsWith('qkv/'))
  const fellBehind = changes.filter(({ factor, beyondNoise }) => beyondNoise && factor < 1)
  const known = new Set(before.cases.filter(({ rows: [ours] }) => ours?.status === 'measured').map(({ bench }) => bench.id))
  const lost = after.cases.filter(({ bench, rows: [ours] }) => known.has(bench.id) && isLost(ours))
  return {
    compared: new Set(changes.map(({ bench }) => bench)).size + lost.length,
    regressed: [...fellBehind.map(({ bench, peer }) => `${bench} (against ${peer})`), ...lost.map(lostIn)],
    notCompared: [],
  }
}

/** Against another build of the same run: where that took less time than this one, beyond noise, or this one gives no result. */
export function regressionsAgainstOtherBuild({ cases }: BenchReport): Regressions {
  const regressed: string[] = []
  const notCompared: string[] = []
  for (const each of cases) {
    const [ours] = each.rows
    const other = each.rows.find(({ peer }) => isOtherBuild(peer))
    if (isLost(ours)) regressed.push(lostIn(each))
    else if (other?.status !== 'measured' || other.ratio === undefined) notCompared.push(`${each.bench.id}: ${outcome(other)}`)
    else if (other.ratio.median < 1 && differs(even, other.ratio)) regressed.push(each.bench.id)
  }
  return { compared: cases.length - notCompared.length, regressed, notCompared }
}

export function passes({ compared, regressed }: Regressions): boolean {
  return compared > 0 && regressed.length === 0
}

export function describeRegressions({ compared, regressed, notCompared }: Regressions): string {
  const behind = regressed.length === 0 ? 'slower nowhere beyond noise' : `slower in ${regressed.join(', ')}`
  const verdict =
    compared === 0 ? 'nothing could be compared.' : `${compared} case${compared === 1 ? '' : 's'} compared; ${behind}.`
  return [verdict, ...notCompared.map((line) => `not compared: ${line}`)].join('\n')
}

const even = { median: 1, low: 1, high: 1 }

/** Left out for want of time is not lost. */
function isLost(ours: Row | undefined): boolean {
  return ours?.status === 'failed' || ours?.status === 'wrong'
}

function lostIn({ bench, rows: [ours] }: CaseReport): string {
  return `${bench.id} (${outcome(ours)})`
}

function outcome(row: Row | undefined): string {
  if (row === undefined) return 'it did not run'
  return 'reason' in row ? `${row.status}: ${row.reason}` : row.status
}
