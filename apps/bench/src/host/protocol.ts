import type { BenchCase } from '../cases/case.ts'
import type { Agreement } from '../measure/check.ts'

/**
 * Every contestant lives in a process or worker of its own, so that none disturbs another's memory and threads, and one
 * that hangs or dies takes only itself along. The runner asks, one question at a time; the host answers.
 */
export type Question =
  | { readonly ask: 'load'; readonly peer: string; readonly threads: number }
  | { readonly ask: 'prepare'; readonly bench: BenchCase }
  | { readonly ask: 'check' }
  | { readonly ask: 'run'; readonly repetitions: number }
  | { readonly ask: 'release' }

export interface Answers {
  load: { readonly version: string; readonly settings: string }
  prepare: { readonly how: string }
  /** After the first run; how its result compares with the float64 reference. */
  check: Agreement
  /** `milliseconds` for one repetition. */
  run: { readonly milliseconds: number; readonly residentBytes: number | undefined }
  release: undefined
}

export type Reply =
  | { readonly ok: true; readonly value: Answers[Question['ask']] }
  | { readonly ok: false; readonly unavailable: boolean; readonly message: string }
