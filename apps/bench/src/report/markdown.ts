import { inThreads } from '../peers/peer.ts'
import { aimsOf, reachedIn } from './aims.ts'
import { cachedTokens, cacheKinds, cacheSizes } from './cache-sizes.ts'
import type { BenchReport, CaseReport, Row } from './report.ts'
import { allSweepEnds, standings } from './summary.ts'
import { count, findings, mebibytes, milliseconds, question, rate, ratio, remark, times } from './words.ts'

/** A report as Markdown: the machine, who ran, and a table for each case. */
export function markdown(report: BenchReport): string {
  return [
    `# How fast exact attention runs here${report.title === undefined ? '' : `: ${report.title}`}`,
    '',
    machineLine(report),
    '',
    'Ratios are times another contestant took over the time QKV took, from interleaved pairs: the median, and between',
    'parentheses the quartiles. Every result was compared with the float64 reference before it was timed.',
    '',
    ...report.peers.map((peer) =>
      peer.status === 'ready'
        ? `- ${peer.title}: ${peer.version}, ${peer.settings}`
        : `- ${peer.title}: ${peer.status}, ${peer.reason}`,
    ),
    ...summary(report),
    ...report.cases.flatMap(caseSection),
    ...cacheSection(),
    '',
  ].join('\n')
}

/** One line: what was measured on, when, and of which commit. */
export function machineLine({ machine, threads, date, commit, rooflines, clock }: BenchReport): string {
  const parts = [
    machine.processor,
    `${machine.cores} cores`,
    `${inThreads(threads)} used`,
    machine.runtime,
    machine.system,
    machine.adapter,
    machine.load === undefined ? undefined : `load ${machine.load.toFixed(1)} at the start`,
    clock && `${clock.before.toFixed(2)} GHz before, ${clock.after.toFixed(2)} after`,
    rooflines && `at most ${rooflines.gigaflops.toFixed(1)} GFLOP/s and ${rooflines.gigabytes.toFixed(1)} GB/s`,
    date.slice(0, 10),
    commit && `commit ${commit}`,
  ]
  return parts.filter((part) => part !== undefined).join(' · ')
}

function summary(report: BenchReport): string[] {
  const rows = standings(report).map(({ title, cases, won, least, median, most }) => [
    title,
    times(median),
    `${won} of ${cases}`,
    `${times(least)} – ${times(most)}`,
  ])
  const aims = aimsOf(report).map((aim) => [aim.what, aim.bound, aim.here, reachedIn(aim)])
  const ends = allSweepEnds(report).map(
    ({ sweep, title, reached, reason }) =>
      `- ${sweep}: ${title} reached ${reached === undefined ? 'none' : `${count(reached)} tokens`} (${reason})`,
  )
  return [
    ...section('In short', ['', 'median', 'QKV faster in', 'least – most'], rows),
    ...section('What QKV aims at', ['', 'aim', 'here', 'reached in'], aims),
    ...(ends.length === 0 ? [] : ['', '## Where they end as lengths grow', '', ...ends]),
  ]
}

function caseSection(result: CaseReport): string[] {
  const rows = result.rows.map((row) => rowCells(result, row))
  const headings = ['', 'QKV is faster', 'time', 'rate', 'result']
  return ['', `## ${result.bench.id}`, '', `${question(result)}.`, '', ...table(headings, rows)]
}

function rowCells(result: CaseReport, row: Row): string[] {
  if (row.status !== 'measured') return [row.peer, remark(row) ?? '', '', '', '']
  return [
    `${row.peer}, ${row.how}`,
    row.ratio === undefined ? '—' : ratio(row.ratio),
    milliseconds(row.milliseconds.median),
    rate(result, row),
    findings(result, row),
  ]
}

function cacheSection(): string[] {
  const rows = cacheSizes().map(({ model, ...sizes }) => [model, ...cacheKinds.map((kind) => mebibytes(sizes[kind]))])
  return section(`What a cache of ${count(cachedTokens)} tokens holds, in each layer`, ['', ...cacheKinds], rows)
}

/** A table under a title; nothing where it has no rows. */
function section(title: string, headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : ['', `## ${title}`, '', ...table(headings, rows)]
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}
