import * as Plot from '@observablehq/plot'
import type { BenchReport, CaseReport, Measured, Row } from './report.ts'

/** Pictures of a report. `document` is the page's own, or one made for writing a file. */

/** How many times longer each other contestant took, with the middle half of the pairs; beyond the line at 1 QKV is faster. */
export function ratioBars(report: BenchReport, document: Document): Element | undefined {
  const bars = report.cases.flatMap(({ bench, rows }) =>
    rows.flatMap((row) =>
      row.status === 'measured' && row.ratio && !bench.id.startsWith('growth/')
        ? [{ bench: bench.id, peer: row.peer, ...row.ratio }]
        : [],
    ),
  )
  if (bars.length === 0) return undefined
  return Plot.plot({
    document,
    marginLeft: 260,
    width: 960,
    height: 60 + 16 * new Set(bars.map(({ bench }) => bench)).size + 4 * bars.length,
    x: { type: 'log', label: 'times QKV’s time →', grid: true },
    y: { label: null, domain: [...new Set(bars.map(({ bench }) => bench))] },
    color: { legend: true },
    marks: [
      Plot.ruleX([1], { strokeWidth: 1.5 }),
      Plot.ruleY(bars, { y: 'bench', x1: 'low', x2: 'high', stroke: 'peer', strokeWidth: 2 }),
      Plot.dot(bars, { y: 'bench', x: 'median', fill: 'peer', r: 4, tip: true }),
    ],
  })
}

/** Time by length of one causal head, on logarithmic axes; a contestant's line ends where it failed. */
export function growthCurves(report: BenchReport, document: Document): Element | undefined {
  const points = growth(report).flatMap(({ bench, rows }) =>
    rows.flatMap((row) =>
      row.status === 'measured' && bench.kind === 'attention'
        ? [{ length: bench.keyLength, time: row.milliseconds.median, peer: row.peer }]
        : [],
    ),
  )
  return points.length === 0 ? undefined : curves(document, points, 'time', '↑ milliseconds')
}

/** Memory of the contestant's whole process by length. */
export function memoryCurves(report: BenchReport, document: Document): Element | undefined {
  const points = growth(report).flatMap(({ bench, rows }) =>
    rows.flatMap((row) =>
      row.status === 'measured' && row.residentBytes !== undefined && bench.kind === 'attention'
        ? [{ length: bench.keyLength, memory: row.residentBytes / 2 ** 20, peer: row.peer }]
        : [],
    ),
  )
  return points.length === 0 ? undefined : curves(document, points, 'memory', '↑ MiB of its process')
}

/** QKV's rate over its arithmetic intensity, under what the machine can do at most. */
export function roofline(report: BenchReport, document: Document): Element | undefined {
  const { rooflines } = report
  if (rooflines === undefined) return undefined
  const points = report.cases.flatMap((result) => {
    const [subject] = result.rows
    return subject?.status === 'measured' && subject.peer === 'qkv/cpu' ? [pointOf(result, subject)] : []
  })
  const ceiling = (intensity: number): number => Math.min(rooflines.gigaflops, rooflines.gigabytes * intensity) * report.threads
  const line = Array.from({ length: 61 }, (_, step) => 10 ** (-1 + step / 12)).map((intensity) => ({
    intensity,
    rate: ceiling(intensity),
  }))
  return Plot.plot({
    document,
    width: 960,
    grid: true,
    x: { type: 'log', label: 'operations a byte →' },
    y: { type: 'log', label: '↑ GFLOP/s' },
    marks: [
      Plot.line(line, { x: 'intensity', y: 'rate' }),
      Plot.dot(points, { x: 'intensity', y: 'rate', title: 'bench', fill: 'currentColor', tip: true }),
    ],
  })
}

function pointOf(
  { bench, flops, bytes }: CaseReport,
  { milliseconds }: Row & Measured,
): { bench: string; intensity: number; rate: number } {
  return { bench: bench.id, intensity: flops / bytes, rate: flops / milliseconds.median / 1e6 }
}

function growth(report: BenchReport): CaseReport[] {
  return report.cases.filter(({ bench }) => bench.id.startsWith('growth/'))
}

function curves(document: Document, points: readonly object[], y: string, label: string): Element {
  return Plot.plot({
    document,
    width: 960,
    grid: true,
    color: { legend: true },
    x: { type: 'log', base: 2, label: 'tokens →' },
    y: { type: 'log', label },
    marks: [
      Plot.line(points, { x: 'length', y, stroke: 'peer', sort: 'length' }),
      Plot.dot(points, { x: 'length', y, fill: 'peer', tip: true }),
    ],
  })
}
