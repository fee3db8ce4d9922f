import type { BenchCase } from '../cases/case.ts'
import type { Memory } from '../host/protocol.ts'
import type { Agreement } from '../measure/check.ts'
import type { Spread } from '../measure/statistics.ts'

/** What a run leaves behind: everything that is drawn or compared is made from this. */
export interface BenchReport {
  readonly version: 2
  /** What its maker calls it. */
  readonly title?: string | undefined
  /** ISO 8601. */
  readonly date: string
  readonly commit: string | undefined
  readonly machine: Machine
  readonly threads: number
  readonly peers: readonly PeerReport[]
  readonly rooflines: Rooflines | undefined
  /** GHz of a thread that works alone, measured before the first case and after the last. */
  readonly clock?: { readonly before: number; readonly after: number } | undefined
  readonly cases: readonly CaseReport[]
}

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number | undefined
  readonly system: string
  /** Node and V8, or the browser. */
  readonly runtime: string
  readonly adapter: string | undefined
  /** Mean number of runnable tasks over the last minute when the run began; others' load disturbs. */
  readonly load: number | undefined
}

/** What this machine can do at most with the run's threads, measured in the same run. */
export interface Rooflines {
  readonly threads: number
  /** Independent 4-wide multiply-adds of WebAssembly, in 10⁹ operations a second. */
  readonly gigaflops: number
  /** A WebAssembly loop that only reads, in 10⁹ bytes a second. */
  readonly gigabytes: number
}

export type PeerReport = { readonly id: string; readonly title: string; readonly device: 'cpu' | 'gpu' } & (
  | { readonly status: 'ready'; readonly version: string; readonly settings: string }
  | { readonly status: 'skipped' | 'failed'; readonly reason: string }
)

export interface CaseReport {
  readonly bench: BenchCase
  readonly flops: number
  readonly bytes: number
  /** The first row is QKV's. */
  readonly rows: readonly Row[]
}

export type Row = { readonly peer: string } & (
  | Measured
  | { readonly status: 'skipped' | 'failed'; readonly reason: string }
  | { readonly status: 'wrong'; readonly how: string; readonly agreement: Agreement }
)

export interface Measured {
  readonly status: 'measured'
  readonly how: string
  readonly agreement: Agreement
  readonly milliseconds: Spread
  /** Times the subject's time, from interleaved pairs; undefined for the subject itself. */
  readonly ratio: Spread | undefined
  readonly samples: readonly number[]
  readonly memory: Memory
}
