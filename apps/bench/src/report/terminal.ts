import Table from 'cli-table3'
import colours from 'picocolors'
import { aimsOf, isReached, reachedIn } from './aims.ts'
import type { BenchReport, CaseReport, Measured, PeerReport, Row } from './report.ts'
import { allSweepEnds, ceilingShares, standings } from './summary.ts'
import { count, findings, milliseconds, question, rate, ratio, leftOut, times } from './words.ts'

/** One case: ratio first, for it is what lasts; times are this machine's. What was left out stands below, by its reason. */
export function caseTable(result: CaseReport): string {
  const table = borderless(['', 'QKV is faster', 'time', 'rate', 'result'], ['left', 'left', 'right', 'right', 'left'])
  for (const row of result.rows) if (row.status === 'measured') table.push(cells(result, row))
  const measured = table.length > 0 ? [table.toString()] : []
  return [`${colours.bold(result.bench.id)}  ${colours.dim(question(result))}`, ...measured, ...remarks(result.rows)].join('\n')
}

function cells(result: CaseReport, row: Row & Measured): string[] {
  return [
    `${row.peer} ${colours.dim(row.how)}`,
    row.ratio === undefined ? '' : verdict(row.ratio.median)(ratio(row.ratio)),
    milliseconds(row.milliseconds.median),
    rate(result, row),
    colours.dim(findings(result, row)),
  ]
}

function remarks(rows: readonly Row[]): string[] {
  return leftOut(rows).map(({ reason, rows: those }) => {
    const line = `  ${those.map(({ peer }) => peer).join(', ')}  ${reason}`
    return those.some(({ status }) => status !== 'skipped') ? colours.red(line) : colours.dim(line)
  })
}

export function peerLine(peer: PeerReport): string {
  if (peer.status === 'ready') return `${colours.green('●')} ${peer.title} ${colours.dim(`${peer.version}, ${peer.settings}`)}`
  return `${colours.yellow('○')} ${peer.title} ${colours.dim(`${peer.status}: ${peer.reason}`)}`
}

/** The whole run in a few lines: how each contestant did against QKV, and how far each came where lengths grow. */
export function closing(report: BenchReport): string {
  const table = borderless(['', 'QKV faster in', 'median', 'least', 'most'], ['left', 'right', 'right', 'right', 'right'])
  for (const { title, cases, won, least, median, most } of standings(report)) {
    table.push([title, `${won} of ${cases}`, verdict(median)(times(median)), times(least), times(most)])
  }
  const ends = allSweepEnds(report).map(
    ({ sweep, title, reached, reason }) =>
      `  ${sweep}: ${title} ${reached === undefined ? 'did no step' : `reached ${count(reached)} tokens`} ${colours.dim(`(${reason})`)}`,
  )
  const lines = [...ends, ...rooflineLine(report)]
  if (table.length + lines.length === 0) return ''
  return ['', colours.bold('Altogether'), ...(table.length > 0 ? [table.toString()] : []), ...lines, ...aimTable(report)].join('\n')
}

/** What QKV aims at, and what it reaches here. */
function aimTable(report: BenchReport): string[] {
  const aims = aimsOf(report)
  if (aims.length === 0) return []
  const table = borderless(['', 'aim', 'here', 'reached in'], ['left', 'left', 'left', 'right'])
  for (const aim of aims) {
    table.push([aim.what, aim.bound, (isReached(aim) ? colours.green : colours.yellow)(aim.here), reachedIn(aim)])
  }
  return ['', colours.bold('What QKV aims at'), table.toString()]
}

/** What of the machine QKV reaches: of its multiply-adds, or of its reading where that is less. */
function rooflineLine(report: BenchReport): string[] {
  const { rooflines } = report
  const shares = ceilingShares(report).map(({ group, least, most }) =>
    least === most ? `${group} ${most.toFixed(2)}` : `${group} ${least.toFixed(2)}–${most.toFixed(2)}`,
  )
  if (rooflines === undefined || shares.length === 0) return []
  const ceiling = `${rooflines.gigaflops.toFixed(1)} GFLOP/s or ${rooflines.gigabytes.toFixed(1)} GB/s`
  return [`  Of what this machine can do at most, ${ceiling}, QKV reaches: ${shares.join(', ')}`]
}

function verdict(factor: number): (text: string) => string {
  return factor >= 1 ? colours.green : colours.yellow
}

function borderless(head: string[], colAligns: ('left' | 'right')[]): Table.Table {
  const edges = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
  const inner = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle']
  const chars = Object.fromEntries([...edges, ...inner].map((place) => [place, '']))
  return new Table({ head, colAligns, chars, style: { head: ['dim'], 'padding-left': 2, 'padding-right': 0 } })
}
