import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { cacheTable, htmlParts, machineLine, type BenchReport, type HtmlParts } from '@qkv/bench/report'
import { defineLoader } from 'vitepress'

/** What the page shows of the reports that the benchmark runner left in `apps/bench/results`. */
export interface Benchmarks {
  readonly runs: readonly BenchmarkRun[]
  /** A table of what caches take, which needs no run. */
  readonly caches: string
}

/** One report: words, and HTML with pictures drawn as SVG. */
export interface BenchmarkRun extends HtmlParts {
  readonly name: string
  readonly title: string
  readonly machine: string
}

export declare const data: Benchmarks

export default defineLoader({
  watch: ['../apps/bench/results/*.json'],
  load: (files): Benchmarks => ({ runs: files.toSorted().map(readRun), caches: cacheTable() }),
})

function readRun(file: string): BenchmarkRun {
  const report = JSON.parse(readFileSync(file, 'utf8')) as BenchReport
  const name = basename(file, '.json')
  return { name, title: report.title ?? name, machine: machineLine(report), ...htmlParts(report) }
}
