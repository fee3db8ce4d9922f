import type { Sweep } from '../cases/case.ts'
import { quantile } from '../measure/statistics.ts'
import type { BenchReport, Rooflines } from './report.ts'

/** How QKV and one other contestant compare over all cases that both did. */
export interface Standing {
  readonly peer: string
  readonly title: string
  readonly cases: number
  /** In how many of them QKV took less time. */
  readonly won: number
  /** How many times QKV's time the other took: least, median and most over the cases. */
  readonly least: number
  readonly median: number
  readonly most: number
}

/** Contestants by how close they come. Steps of sweeps are left out: they would count one question many times. */
export function standings(report: BenchReport): readonly Standing[] {
  const ratios = new Map<string, number[]>()
  for (const { bench, rows } of report.cases) {
    if (bench.sweep) continue
    for (const row of rows) {
      if (row.status === 'measured' && row.ratio) ratios.set(row.peer, [...(ratios.get(row.peer) ?? []), row.ratio.median])
    }
  }
  return [...ratios]
    .map(([peer, all]) => ({
      peer,
      title: titleOf(report, peer),
      cases: all.length,
      won: all.filter((ratio) => ratio > 1).length,
      least: Math.min(...all),
      median: quantile(all, 0.5),
      most: Math.max(...all),
    }))
    .sort((a, b) => a.median - b.median)
}

/** Where a contestant's part in a sweep that it had begun ended before the sweep did, and why. */
export interface SweepEnd {
  readonly peer: string
  readonly title: string
  /** Tokens of the last step that it did; undefined where it did none. */
  readonly reached: number | undefined
  readonly reason: string
}

export function sweepEnds(report: BenchReport, { name }: Pick<Sweep, 'name'>): readonly SweepEnd[] {
  const steps = report.cases.filter(({ bench }) => bench.sweep?.name === name)
  return report.peers.flatMap(({ id, title }) => {
    let reached: number | undefined
    for (const { bench, rows } of steps) {
      const row = rows.find(({ peer }) => peer === id)
      if (row === undefined) return []
      if (row.status === 'measured') reached = bench.sweep?.length
      // What it cannot do at all is no end.
      else if (row.status === 'skipped' && reached === undefined) return []
      else return [{ peer: id, title, reached, reason: row.status === 'wrong' ? 'a wrong result' : row.reason }]
    }
    return []
  })
}

/** Where contestants' parts in any sweep ended, sweep by sweep. */
export function allSweepEnds(report: BenchReport): readonly (SweepEnd & { readonly sweep: string })[] {
  return sweepsOf(report).flatMap((sweep) => sweepEnds(report, sweep).map((end) => ({ sweep: sweep.title, ...end })))
}

/** What people call a contestant. */
export function titleOf({ peers }: BenchReport, peer: string): string {
  return peers.find(({ id }) => id === peer)?.title ?? peer
}

/** A report's sweeps, in order. */
export function sweepsOf(report: BenchReport): readonly Pick<Sweep, 'name' | 'title'>[] {
  const byName = new Map(report.cases.flatMap(({ bench }) => (bench.sweep ? [[bench.sweep.name, bench.sweep] as const] : [])))
  return [...byName.values()]
}

/** How much of what the machine can do QKV reaches on the processor, in a group of cases. */
export interface CeilingShare {
  readonly group: string
  readonly least: number
  readonly most: number
}

/** Of arithmetic, or of reading where that is the narrower way. Nothing where the ceilings were not measured. */
export function ceilingShares({ rooflines, cases }: BenchReport): readonly CeilingShare[] {
  if (rooflines === undefined) return []
  const shares = new Map<string, number[]>()
  for (const { bench, flops, bytes, rows } of cases) {
    const [subject] = rows
    if (subject?.status !== 'measured' || subject.peer !== 'qkv/cpu' || bench.kind === 'writing') continue
    const [group = ''] = bench.id.split('/')
    const share = flops / subject.milliseconds.median / 1e6 / ceilingAt(rooflines, flops / bytes)
    shares.set(group, [...(shares.get(group) ?? []), share])
  }
  return [...shares].map(([group, all]) => ({ group, least: Math.min(...all), most: Math.max(...all) }))
}

/** In 10⁹ operations a second, for work of so many operations to each byte that it has to read or write. */
export function ceilingAt({ gigaflops, gigabytes }: Rooflines, intensity: number): number {
  return Math.min(gigaflops, gigabytes * intensity)
}
