import Table from 'cli-table3'
import colours from 'picocolors'
import type { CaseReport, PeerReport, Row } from './report.ts'
import { exactness, milliseconds, rate, ratio, remark } from './words.ts'

/** One case as a table: ratio first, for it is what lasts; times are this machine's. */
export function caseTable(result: CaseReport): string {
  const table = new Table({
    head: ['', 'QKV is faster', 'time', 'rate', 'result'],
    style: { head: ['dim'], border: ['dim'], compact: true },
  })
  for (const row of result.rows) table.push(cells(result, row))
  return `${colours.bold(result.bench.id)} ${colours.dim(`— ${result.bench.source}`)}\n${table.toString()}`
}

function cells(result: CaseReport, row: Row): Table.HorizontalTableRow {
  const name = row.status === 'measured' || row.status === 'wrong' ? `${row.peer} ${colours.dim(row.how)}` : row.peer
  if (row.status !== 'measured') {
    const colour = row.status === 'skipped' ? colours.dim : colours.red
    return [name, { colSpan: 4, content: colour(remark(row) ?? '') }]
  }
  const won =
    row.ratio === undefined ? colours.dim('—') : (row.ratio.median >= 1 ? colours.green : colours.yellow)(ratio(row.ratio))
  return [name, won, milliseconds(row.milliseconds.median), rate(result, row), exactness(row)]
}

export function peerLine(peer: PeerReport): string {
  if (peer.status === 'ready') return `${colours.green('●')} ${peer.title} ${colours.dim(`${peer.version}, ${peer.settings}`)}`
  return `${colours.yellow('○')} ${peer.title} ${colours.dim(`${peer.status}: ${peer.reason}`)}`
}
