import { scoreMod } from '../expression/build.ts'
import type { ScoreMod } from '../expression/node.ts'

/** Scores become `cap · tanh(score / cap)`: the option `softcap`, but after the bias. */
export function softcap(cap: number): ScoreMod {
  return scoreMod((score) => score.div(cap).tanh().mul(cap))
}
