import * as Plot from '@observablehq/plot'
import { inThreads } from '../peers/peer.ts'
import type { BenchReport, CaseReport, Measured, Row } from './report.ts'
import { ceilingAt, sweepsOf, titleOf } from './summary.ts'

/** A picture of a report, with what it shows in words. */
export interface Figure {
  readonly title: string
  readonly caption: string
  readonly picture: Element
}

type SweepName = ReturnType<typeof sweepsOf>[number]

/** All that a report has figures for. `document` is the page's own, or one made for writing a file. */
export function figures(report: BenchReport, document: Document): readonly Figure[] {
  return [
    ratioDots(report, document),
    ...sweepsOf(report).flatMap((sweep) => growths.map((growth) => curves(report, sweep, growth, document))),
    roofline(report, document),
  ].filter((figure) => figure !== undefined)
}

/** How many times longer each other contestant took, with the middle half of the pairs; beyond the line at 1 QKV is faster. */
function ratioDots(report: BenchReport, document: Document): Figure | undefined {
  const dots = report.cases.flatMap(({ bench, rows }) =>
    rows.flatMap((row) =>
      row.status === 'measured' && row.ratio && !bench.sweep
        ? [{ bench: bench.id, peer: titleOf(report, row.peer), ...row.ratio }]
        : [],
    ),
  )
  if (dots.length === 0) return undefined
  const benches = [...new Set(dots.map(({ bench }) => bench))]
  const picture = Plot.plot({
    ...common(report, document, (title) => dots.some(({ peer }) => peer === title)),
    marginLeft: 250,
    marginTop: 28,
    height: 60 + 22 * benches.length,
    x: { type: 'log', label: 'times QKV’s time →', grid: true, tickFormat: (factor: number) => `${factor}×`, ticks: 6 },
    y: { label: null, domain: benches, tickSize: 0 },
    marks: [
      Plot.axisX({ anchor: 'top', tickFormat: (factor: number) => `${factor}×`, label: null, ticks: 6 }),
      Plot.ruleY(benches, { y: (bench) => bench, strokeOpacity: 0.08 }),
      Plot.ruleX([1], { strokeWidth: 1.5 }),
      Plot.ruleY(dots, { y: 'bench', x1: 'low', x2: 'high', stroke: 'peer', strokeWidth: 2.5, strokeOpacity: 0.6 }),
      Plot.dot(dots, {
        y: 'bench',
        x: 'median',
        fill: 'peer',
        r: 4.5,
        title: (dot: (typeof dots)[number]) => `${dot.bench}\n${dot.peer}: ${dot.median.toPrecision(3)}×`,
      }),
    ],
  })
  return {
    title: 'QKV against each of them',
    caption: [
      'How many times QKV’s time the others take. A dot is the median of interleaved pairs, its line their middle half.',
      'Right of 1×, QKV is faster; left of it, the other is.',
    ].join(' '),
    picture,
  }
}

/** What grows with length, of which each sweep has curves. */
interface Growth {
  readonly what: string
  readonly label: string
  readonly amountOf: (row: Measured) => number | undefined
  readonly caption: string
}

const growths: readonly Growth[] = [
  {
    what: 'time by length',
    label: '↑ milliseconds',
    amountOf: ({ milliseconds }) => milliseconds.median,
    caption: 'Each line ends where its library failed, or would have taken too long: the table below says which.',
  },
  {
    what: 'memory by length',
    label: '↑ MiB',
    amountOf: ({ memory: { peakBytes } }) => peakBytes && peakBytes / 2 ** 20,
    caption: [
      'The most that each library’s process, new for every length, had in memory at once:',
      'the runtime, inputs and outputs included.',
    ].join(' '),
  },
]

/** An amount by length on logarithmic axes; a contestant's line ends where it did. */
function curves(report: BenchReport, sweep: SweepName, growth: Growth, document: Document): Figure | undefined {
  const points = pointsOf(report, sweep, growth.amountOf)
  const lengths = [...new Set(points.map(({ length }) => length))]
  if (lengths.length < 2) return undefined
  const picture = Plot.plot({
    ...common(report, document, (title) => points.some(({ peer }) => peer === title)),
    height: 420,
    marginLeft: 60,
    grid: true,
    x: { type: 'log', base: 2, label: 'tokens →', ticks: lengths, tickFormat: (length: number) => length.toLocaleString('en') },
    y: { type: 'log', label: growth.label },
    marks: [
      Plot.line(points, { x: 'length', y: 'amount', z: 'peer', stroke: 'peer', strokeWidth: 2, sort: 'length' }),
      Plot.dot(points, {
        x: 'length',
        y: 'amount',
        fill: 'peer',
        r: 4,
        title: (point: Point) => `${point.peer}, ${point.length} tokens: ${point.amount.toPrecision(3)}`,
      }),
    ],
  })
  return { title: `${sweep.title}: ${growth.what}`, caption: growth.caption, picture }
}

/** QKV's rate over its arithmetic intensity, under what the machine can do at most. */
function roofline(report: BenchReport, document: Document): Figure | undefined {
  const { rooflines } = report
  const points = report.cases.flatMap((result) => {
    const [subject] = result.rows
    return subject?.status === 'measured' && subject.peer === 'qkv/cpu' && result.bench.kind !== 'writing'
      ? [roofPoint(result, subject)]
      : []
  })
  if (rooflines === undefined || points.length === 0) return undefined
  const roof = Array.from({ length: 61 }, (_, step) => 10 ** (-1 + step / 15)).map((intensity) => ({
    intensity,
    rate: ceilingAt(rooflines, intensity),
  }))
  const picture = Plot.plot({
    document,
    width,
    height: 420,
    grid: true,
    color: { legend: true },
    x: { type: 'log', label: 'operations for each byte →' },
    y: { type: 'log', label: '↑ GFLOP/s' },
    marks: [
      Plot.line(roof, { x: 'intensity', y: 'rate', strokeWidth: 2 }),
      Plot.dot(points, {
        x: 'intensity',
        y: 'rate',
        fill: 'group',
        r: 4.5,
        title: (point: (typeof points)[number]) => `${point.bench}: ${point.rate.toPrecision(3)} GFLOP/s`,
      }),
    ],
  })
  return {
    title: 'What is left to gain',
    caption: [
      `QKV’s cases under what this machine can do at most with ${inThreads(rooflines.threads)},`,
      `measured in the same run: ${rooflines.gigabytes.toFixed(1)} GB/s of reading on the slope,`,
      `${rooflines.gigaflops.toFixed(1)} GFLOP/s of multiply-adds on the level. What fits the caches may lie above the slope.`,
    ].join(' '),
    picture,
  }
}

const width = 960

/** A contestant has its colour in all pictures, and is named in those where it appears. */
function common({ peers }: BenchReport, document: Document, appears: (title: string) => boolean) {
  const ready = peers
    .filter(({ status }) => status === 'ready')
    .map(({ title }, index) => ({ title, colour: colours[index % colours.length]! }))
  const shown = ready.filter(({ title }) => appears(title))
  return {
    document,
    width,
    color: { legend: true, domain: shown.map(({ title }) => title), range: shown.map(({ colour }) => colour) },
  }
}

/** Tableau 10, which colour-blind readers can tell apart. */
const colours = ['#4e79a7', '#f28e2c', '#e15759', '#76b7b2', '#59a14f', '#edc949', '#af7aa1', '#ff9da7', '#9c755f', '#bab0ab']

interface Point {
  readonly peer: string
  readonly length: number
  readonly amount: number
}

function pointsOf(report: BenchReport, sweep: SweepName, amountOf: Growth['amountOf']): Point[] {
  return report.cases.flatMap(({ bench, rows }) =>
    bench.sweep?.name !== sweep.name
      ? []
      : rows.flatMap((row): Point[] => {
          const amount = row.status === 'measured' ? amountOf(row) : undefined
          return amount === undefined ? [] : [{ peer: titleOf(report, row.peer), length: bench.sweep!.length, amount }]
        }),
  )
}

function roofPoint({ bench, flops, bytes }: CaseReport, { milliseconds }: Row & Measured) {
  const [group = ''] = bench.id.split('/')
  return { bench: bench.id, group, intensity: flops / bytes, rate: flops / milliseconds.median / 1e6 }
}
