import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { defineLoader } from 'vitepress'

/** What the page shows of a report that the benchmark runner left in `apps/bench/results`. */
export interface BenchmarkRun {
  readonly name: string
  readonly date: string
  readonly machine: Readonly<Record<'processor' | 'system' | 'runtime', string>> & { readonly adapter?: string }
  readonly threads: number
  readonly cases: readonly BenchmarkCase[]
}

export interface BenchmarkCase {
  readonly id: string
  readonly source: string
  readonly rows: readonly BenchmarkRow[]
}

/** One contestant. The first is QKV; `ratio` is how many times its time another takes. */
export interface BenchmarkRow {
  readonly peer: string
  readonly status: 'measured' | 'skipped' | 'failed' | 'wrong'
  readonly milliseconds?: { readonly median: number }
  readonly ratio?: { readonly median: number }
  readonly reason?: string
}

export declare const data: readonly BenchmarkRun[]

export default defineLoader({
  watch: ['../apps/bench/results/*.json'],
  load: (files): readonly BenchmarkRun[] => files.map(readRun).toSorted((a, b) => b.date.localeCompare(a.date)),
})

function readRun(file: string): BenchmarkRun {
  const report = JSON.parse(readFileSync(file, 'utf8'))
  return {
    name: basename(file, '.json'),
    date: report.date,
    machine: report.machine,
    threads: report.threads,
    cases: report.cases.map(({ bench, rows }: { bench: Omit<BenchmarkCase, 'rows'>; rows: BenchmarkRow[] }) => ({
      id: bench.id,
      source: bench.source,
      rows,
    })),
  }
}
