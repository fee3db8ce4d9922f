import type { BenchReport } from './report.ts'

/**
 * What besides the figures is not the same in two reports, a line each, e.g. `runtime: Node 20 → Node 24`: what changed between
 * them may have changed for that alone. Contestants that only one report has are left out, for their rows are not compared.
 */
export function differencesBetween(before: BenchReport, after: BenchReport): readonly string[] {
  const later = circumstancesOf(after)
  return [...circumstancesOf(before)].flatMap(([name, was]) => {
    const is = later.get(name)
    return is === undefined || is === was ? [] : [`${name}: ${was} → ${is}`]
  })
}

export function describeDifferences(differences: readonly string[]): string {
  return differences.length === 0
    ? 'Measured under the same circumstances.'
    : ['Not the same besides:', ...differences].join('\n  ')
}

function circumstancesOf({ machine, threads, commit, peers }: BenchReport): ReadonlyMap<string, string> {
  const { processor, cores, system, runtime, adapter } = machine
  return new Map([
    ['processor', processor],
    ['cores', String(cores)],
    ['system', system],
    ['runtime', runtime],
    ['GPU', adapter ?? 'none used'],
    ['threads', String(threads)],
    ['commit', commit ?? 'unknown'],
    ...peers.flatMap((peer): [string, string][] =>
      peer.status === 'ready' ? [[peer.title, `${peer.version}, ${peer.settings}`]] : [],
    ),
  ])
}
