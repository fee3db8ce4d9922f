import type { AttentionProblem, Backend, Platform } from '@qkv/core'
import type { Limits } from '../../draw-token.ts'
import type { Random } from '../../random.ts'

/** One random problem that a claim is checked for. */
export interface Given {
  readonly problem: AttentionProblem
  readonly token: string
  readonly stream: Random
}

/** Where claims are made. */
export interface Claims {
  backend(): Backend
  readonly platform: Platform
  /** A test of so many random problems, by default 40. */
  forRandomProblems(name: string, limits: Limits, check: (given: Given) => Promise<void>, count?: number): void
}
