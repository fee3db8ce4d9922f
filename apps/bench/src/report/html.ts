import { parseHTML } from 'linkedom'
import { cachedTokens, cacheSizes } from './cache-sizes.ts'
import { machineLine } from './markdown.ts'
import { growthCurves, memoryCurves, ratioBars, roofline } from './plots.ts'
import type { BenchReport, CaseReport, Row } from './report.ts'
import { exactness, mebibytes, milliseconds, rate, ratio, remark } from './words.ts'

/** A report as one file that needs nothing else: pictures as SVG, words for who has never heard of us. */
export function html(report: BenchReport): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>')
  const figure = (draw: (report: BenchReport, document: Document) => Element | undefined, caption: string): string => {
    const picture = draw(report, document)
    return picture === undefined ? '' : `<figure>${picture.outerHTML}<figcaption>${escape(caption)}</figcaption></figure>`
  }
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>QKV: how fast exact attention runs here</title>
<style>${style}</style>
<h1>How fast exact attention runs here</h1>
<p>Attention lets each token of a sequence look at every other. <b>QKV</b> computes it in JavaScript programs, exactly: every
result below was compared with a float64 reference before it was timed. A ratio says how many times longer another library
took for the same result on the same data, from interleaved pairs of runs: the median, and the quartiles between
parentheses. Above 1, QKV is faster; below 1, the other is.</p>
<p class="machine">${escape(machineLine(report))}</p>
${figure(ratioBars, 'How many times longer than QKV. Dots are medians, lines the middle half of the pairs.')}
${figure(growthCurves, 'Time by length, one causal head of 64. A line ends where its library failed or was skipped.')}
${figure(memoryCurves, 'Resident memory of each library’s process by length.')}
${figure(roofline, 'What QKV reaches under what this machine can do at most: its arithmetic, or its memory.')}
<h2>Who ran</h2>
<ul>${report.peers.map((peer) => `<li>${escape(peer.title)}: ${escape(peer.status === 'ready' ? `${peer.version}, ${peer.settings}` : `${peer.status}, ${peer.reason}`)}</li>`).join('')}</ul>
${report.cases.map(caseTable).join('\n')}
${cacheTable()}
</html>
`
}

function caseTable(result: CaseReport): string {
  return `<h3>${escape(result.bench.id)}</h3>
<p>${escape(result.bench.source)}; ${(result.flops / 1e9).toPrecision(3)} GFLOP.</p>
<table><tr><th></th><th>QKV is faster</th><th>time</th><th>rate</th><th>result</th></tr>
${result.rows.map((row) => `<tr>${cells(result, row)}</tr>`).join('\n')}
</table>`
}

function cacheTable(): string {
  const cellsOf = (sizes: readonly number[]): string => sizes.map((bytes) => `<td>${mebibytes(bytes)}</td>`).join('')
  return `<h2>What a cache of ${cachedTokens.toLocaleString('en')} tokens would hold, in each layer</h2>
<table><tr><th></th><th>float32</th><th>float16</th><th>int8</th></tr>
${cacheSizes()
  .map(({ model, float32, float16, int8 }) => `<tr><td>${escape(model)}</td>${cellsOf([float32, float16, int8])}</tr>`)
  .join('\n')}
</table>`
}

function cells(result: CaseReport, row: Row): string {
  if (row.status !== 'measured')
    return `<td>${escape(row.peer)}</td><td colspan="4" class="${row.status}">${escape(remark(row) ?? '')}</td>`
  const verdict = row.ratio === undefined ? '' : row.ratio.median >= 1 ? 'won' : 'lost'
  return [
    `<td>${escape(row.peer)} <small>${escape(row.how)}</small></td>`,
    `<td class="${verdict}">${row.ratio === undefined ? '—' : ratio(row.ratio)}</td>`,
    `<td>${milliseconds(row.milliseconds.median)}</td><td>${rate(result, row)}</td><td>${exactness(row)}</td>`,
  ].join('')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
td, th { text-align: left; padding: 0.2rem 0.6rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.machine, .skipped, small, figcaption { opacity: 0.7; }
.won { color: #187a3c; } .lost, .failed, .wrong { color: #b3541e; }
figure { margin: 2rem 0; overflow-x: auto; }
figure figure { margin: 0; }
h3 { margin-bottom: 0; } h3 + p { margin-top: 0; }
`
