/**
 * Softmax over scores that arrive bit by bit. Some scores' maximum m and sum of exponentials l = Σ e^(s − m) are all
 * that is ever needed of them: more scores, or another set's (m, l), are taken in by bringing both sums under the
 * common maximum. No exponential is taken of anything positive, so nothing overflows.
 *
 * This is what lets attention be exact without a score matrix. Milakov and Gimelshein, Online normalizer calculation
 * for softmax (2018); Rabe and Staats, Self-attention does not need O(n²) memory (2021); Dao et al., FlashAttention
 * (2022), which keeps the weighted sum of values beside (m, l), rescaled by the same factors.
 */
export interface SoftmaxState {
  /** −∞ before the first score. */
  readonly m: number
  readonly l: number
}

/** Of no scores: the identity of {@link mergeSoftmax}. */
export const emptySoftmax: SoftmaxState = /* @__PURE__ */ Object.freeze({ m: -Infinity, l: 0 })

/** The state with one more score. A score of −∞ changes nothing. */
export function addScore(state: SoftmaxState, score: number): SoftmaxState {
  return mergeSoftmax(state, { m: score, l: 1 })
}

/** The state of both sets of scores together; associative and commutative, to rounding. */
export function mergeSoftmax(a: SoftmaxState, b: SoftmaxState): SoftmaxState {
  const m = Math.max(a.m, b.m)
  return { m, l: a.l * rescaling(a.m, m) + b.l * rescaling(b.m, m) }
}

/**
 * What sums made under maximum `from` are multiplied by to count under the higher maximum `to`. From −∞ it is 0: what
 * was accumulated before the first score is nothing (and ∞ − ∞ is no number).
 */
export function rescaling(from: number, to: number): number {
  return from === -Infinity ? 0 : Math.exp(from - to)
}

/** log Σ e^s of the scores taken in; −∞ of none. */
export function logSumExp({ m, l }: SoftmaxState): number {
  return l === 0 ? -Infinity : m + Math.log(l)
}
