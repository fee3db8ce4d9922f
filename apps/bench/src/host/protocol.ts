import type { BenchCase } from '../cases/case.ts'
import type { Agreement } from '../measure/check.ts'
import type { ModelFiles } from '../peers/peer.ts'

/**
 * Every contestant lives in a process or worker of its own, so that none disturbs another's memory and threads, and one
 * that hangs or dies takes only itself along. The runner asks, one question at a time; the host answers.
 */
export type Question =
  | { readonly ask: 'load'; readonly peer: string; readonly threads: number; readonly model?: ModelFiles | undefined }
  | { readonly ask: 'prepare'; readonly bench: BenchCase }
  | { readonly ask: 'check' }
  | { readonly ask: 'run'; readonly repetitions: number }
  | { readonly ask: 'release' }
  | { readonly ask: 'ceiling'; readonly of: Ceiling }

export interface Answers {
  load: { readonly version: string; readonly settings: string }
  prepare: { readonly how: string }
  /** After the first run: how long it took, and how its result compares with the float64 reference. */
  check: { readonly milliseconds: number; readonly agreement: Agreement }
  /** `milliseconds` for one repetition. */
  run: { readonly milliseconds: number; readonly memory: Memory }
  release: undefined
  /** What this host reaches without a peer, in 10⁹ operations, bytes or cycles a second. */
  ceiling: number
}

/** Of a machine: how fast it multiplies and adds, how fast it reads, and its clock. */
export type Ceiling = 'arithmetic' | 'reading' | 'clock'

/** What a contestant has taken so far, in bytes. */
export interface Memory {
  /** The most that its whole process has had in memory at once. */
  readonly peakBytes: number | undefined
  /** What the library itself says it has taken for tensors and work. */
  readonly reservedBytes: number | undefined
}

export type Reply =
  | { readonly ok: true; readonly value: Answers[Question['ask']] }
  | { readonly ok: false; readonly unavailable: boolean; readonly message: string }
