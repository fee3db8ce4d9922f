import { parseHTML } from 'linkedom'
import { aimsOf, isReached, reachedIn } from './aims.ts'
import { cachedTokens, cacheKinds, cacheSizes } from './cache-sizes.ts'
import { grouped } from './groups.ts'
import { machineLine } from './markdown.ts'
import { figures } from './plots.ts'
import type { BenchReport, CaseReport, Measured, PeerReport, Row } from './report.ts'
import { allSweepEnds, standings, titleOf } from './summary.ts'
import { count, findings, mebibytes, milliseconds, question, rate, ratio, leftOut, times } from './words.ts'

/** A report as one file that needs nothing else: pictures as SVG, words for who has never heard of us. */
export function html(report: BenchReport): string {
  const { summary, pictures, details, contestants } = htmlParts(report)
  const title = `How fast exact attention runs here${report.title === undefined ? '' : `: ${escape(report.title)}`}`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>QKV: ${title}</title>
<style>${style}</style>
<h1>${title}</h1>
<p class="lead">Attention lets each token of a sequence look at every other. <b>QKV</b> computes it in JavaScript programs, exactly.
Here it stands against what one would use instead: the same numbers for all, every result compared with a float64 reference
before it was timed, samples taken in turns on a warm machine.</p>
<p class="machine">${escape(machineLine(report))}</p>
${[summary, pictures, details, cacheTable(), contestants].join('\n')}
</html>
`
}

/** The parts of a report as HTML, for a page that has its own heading and style. */
export interface HtmlParts {
  /** How each contestant did against QKV, and how QKV does against its own aims, in tables. */
  readonly summary: string
  readonly pictures: string
  /** Where sweeps ended, and a table for each case. */
  readonly details: string
  readonly contestants: string
}

export function htmlParts(report: BenchReport): HtmlParts {
  return {
    summary: summary(report) + aims(report),
    pictures: pictures(report),
    details: details(report),
    contestants: contestants(report),
  }
}

function summary(report: BenchReport): string {
  const rows = standings(report).map(({ title, cases, won, least, median, most }) =>
    [
      `<tr><th scope="row">${escape(title)}</th>`,
      `<td class="${median >= 1 ? 'won' : 'lost'}"><b>${times(median)}</b></td>`,
      `<td>${won} of ${cases}</td><td>${times(least)} – ${times(most)}</td></tr>`,
    ].join(''),
  )
  if (rows.length === 0) return ''
  return `<h2>In short</h2>
<p>How many times QKV’s time each of them takes: above 1×, QKV is faster; below, the other is.</p>
${table(['', 'median', 'QKV faster in', 'least – most'], rows, 'summary')}`
}

function aims(report: BenchReport): string {
  const rows = aimsOf(report).map((aim) =>
    [
      `<tr><th scope="row">${escape(aim.what)}</th><td>${aim.bound}</td>`,
      `<td class="${isReached(aim) ? 'won' : 'lost'}"><b>${aim.here}</b></td><td>${reachedIn(aim)}</td></tr>`,
    ].join(''),
  )
  return rows.length === 0 ? '' : `<h2>What QKV aims at</h2>\n${table(['', 'aim', 'here', 'reached in'], rows, 'summary')}`
}

function pictures(report: BenchReport): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  return figures(report, document)
    .map(
      ({ title, caption, picture }) =>
        `<figure><h2>${escape(title)}</h2>${picture.outerHTML}<figcaption>${escape(caption)}</figcaption></figure>`,
    )
    .join('\n')
}

function details(report: BenchReport): string {
  const groups = grouped(report.cases).map(
    ({ title, cases }) =>
      `<details open><summary>${escape(title)}</summary>${cases.map((result) => caseTable(report, result)).join('\n')}</details>`,
  )
  return `${ends(report)}<h2>Case by case</h2>${groups.join('\n')}`
}

function ends(report: BenchReport): string {
  const rows = allSweepEnds(report).map(({ sweep, title, reached, reason }) =>
    [
      `<tr><td>${escape(sweep)}</td><th scope="row">${escape(title)}</th>`,
      `<td>${reached === undefined ? 'none' : `${count(reached)} tokens`}</td><td>${escape(reason)}</td></tr>`,
    ].join(''),
  )
  return rows.length === 0 ? '' : `<h2>Where they end as lengths grow</h2>${table(['', '', 'reached', 'because'], rows)}`
}

function caseTable(report: BenchReport, result: CaseReport): string {
  const measured = result.rows.flatMap((row) => (row.status === 'measured' ? [cells(report, result, row)] : []))
  const others = leftOut(result.rows).map(({ reason, rows }) => {
    const names = rows.map((row) => titleOf(report, row.peer)).join(', ')
    return `<li class="${rows[0]!.status}">${escape(names)}: ${escape(reason)}</li>`
  })
  return `<section><h3>${escape(result.bench.id)}</h3><p>${escape(question(result))}</p>
${measured.length === 0 ? '' : table(['', 'QKV is faster', 'time', 'rate', 'result'], measured)}
${others.length === 0 ? '' : `<ul class="left-out">${others.join('')}</ul>`}</section>`
}

function cells(report: BenchReport, result: CaseReport, row: Row & Measured): string {
  const verdict = row.ratio === undefined ? '' : row.ratio.median >= 1 ? 'won' : 'lost'
  return [
    `<tr><th scope="row">${escape(titleOf(report, row.peer))} <small>${escape(row.how)}</small></th>`,
    `<td class="${verdict}">${row.ratio === undefined ? '' : ratio(row.ratio)}</td>`,
    `<td>${milliseconds(row.milliseconds.median)}</td><td>${rate(result, row)}</td><td>${findings(result, row)}</td></tr>`,
  ].join('')
}

/** What caches of several models take, by how they keep their numbers. */
export function cacheTable(): string {
  const rows = cacheSizes().map(({ model, ...sizes }) => {
    const cells = cacheKinds.map((kind) => `<td>${mebibytes(sizes[kind])}</td>`)
    return `<tr><th scope="row">${escape(model)}</th>${cells.join('')}</tr>`
  })
  return `<h2>What a cache of ${count(cachedTokens)} tokens holds, in each layer</h2>\n${table(['', ...cacheKinds], rows)}`
}

function contestants({ peers }: BenchReport): string {
  const said = (peer: PeerReport): string =>
    peer.status === 'ready' ? `${peer.version}, ${peer.settings}` : `${peer.status}: ${peer.reason}`
  const rows = peers.map(
    (peer) => `<tr><th scope="row">${escape(peer.title)}</th><td class="${peer.status}">${escape(said(peer))}</td></tr>`,
  )
  return `<h2>Who ran</h2>\n${table([], rows)}`
}

/** Rows under their headings. */
function table(headings: readonly string[], rows: readonly string[], kind?: string): string {
  const head = headings.length === 0 ? '' : `<thead><tr>${headings.map((text) => `<th>${text}</th>`).join('')}</tr></thead>`
  return `<table${kind === undefined ? '' : ` class="${kind}"`}>${head}<tbody>${rows.join('\n')}</tbody></table>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

const style = `
:root { color-scheme: light dark; font: 16px/1.55 system-ui, sans-serif; --line: color-mix(in srgb, currentColor 16%, transparent); }
body { max-width: 64rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin-bottom: 0.5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 0.5rem; }
h3 { font: 600 1rem ui-monospace, monospace; margin: 1.5rem 0 0; }
h3 + p { margin: 0 0 0.4rem; opacity: 0.7; font-size: 0.9rem; }
.lead { font-size: 1.1rem; max-width: 46rem; }
.machine {
  font-size: 0.9rem; padding: 0.6rem 0.9rem; border-left: 3px solid #4e79a7;
  background: color-mix(in srgb, currentColor 5%, transparent);
}
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td {
  text-align: left; vertical-align: baseline; font-weight: normal; padding: 0.25rem 0.8rem 0.25rem 0; border-bottom: 1px solid var(--line);
}
thead th { font-size: 0.8rem; opacity: 0.65; }
section table { table-layout: fixed; } section th:first-child { width: 34%; } section th:last-child { width: 26%; }
.summary { width: auto; min-width: 60%; }
small, figcaption, .skipped { opacity: 0.65; }
.won { color: light-dark(#187a3c, #6fd3a0); } .lost, .failed, .wrong { color: light-dark(#b3541e, #ff9a6b); }
figure { margin: 0; overflow-x: auto; } figure figure { margin: 0; }
figcaption { font-size: 0.9rem; max-width: 46rem; }
details { border-top: 1px solid var(--line); padding: 0.5rem 0; } summary { cursor: pointer; font-weight: 600; }
.left-out { margin: 0.3rem 0 0; padding: 0; list-style: none; font-size: 0.85rem; }
svg { max-width: 100%; height: auto; }
`
