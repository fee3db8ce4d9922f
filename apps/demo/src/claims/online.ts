import { emptySoftmax, mergeSoftmax, rescaling, type SoftmaxState } from '@qkv/core/merge'

/** What attention by tiles holds of one query after some tiles: all of it, whatever the number of keys. */
export interface Running {
  readonly state: SoftmaxState
  /** Σ e^(s − m) · value, not yet divided by l. */
  readonly sum: Float32Array
  /** What the sums before the last tile were multiplied by, for the new maximum. */
  readonly rescaled: number
}

export function nothingYet(dim: number): Running {
  return { state: emptySoftmax, sum: new Float32Array(dim), rescaled: 1 }
}

/** Takes in one tile: its scores and values. */
export function takeTile({ state, sum }: Running, scores: readonly number[], values: readonly Float32Array[]): Running {
  const m = Math.max(...scores)
  const tile = { m, l: scores.reduce((total, score) => total + Math.exp(score - m), 0) }
  const next = mergeSoftmax(state, tile)
  const rescaled = rescaling(state.m, next.m)
  const weights = scores.map((score) => Math.exp(score - next.m))
  return {
    state: next,
    sum: sum.map(
      (component, c) => component * rescaled + weights.reduce((total, weight, j) => total + weight * (values[j]?.[c] ?? 0), 0),
    ),
    rescaled: state.m === -Infinity ? 1 : rescaled,
  }
}

/** The blend of all values seen so far. */
export function outputOf({ state, sum }: Running): Float32Array {
  return state.l === 0 ? sum : sum.map((component) => component / state.l)
}
