import type { Dtype } from '../dtype.ts'
import type { AttentionProblem } from '../problem.ts'
import { accumulated, underflow, type Arithmetic, type Platform } from '../estimate.ts'
import { flushed, type Inputs } from './inputs.ts'

/**
 * What a row's softmax is made of: keys and, without a value, the sink. `error` bounds the absolute error of the score
 * itself as a kernel computes it.
 */
export interface SoftmaxTerm {
  readonly score: number
  readonly error: number
  /** The exact weight. */
  readonly weight: number
}

/** How far a kernel's softmax over one row may be off; what the bounds of output and lse are made from. */
export interface RowError {
  /** Of each term: how far the logarithm of its unnormalised weight may be off. */
  readonly exponents: Float64Array
  /** Whether a float32 kernel may give the term any weight at all. */
  readonly plausible: readonly boolean[]
  /** e^(2·largest plausible exponent error): how much a weight may change by normalising. */
  readonly spread: number
  /** Roundings of a sum over the row's keys, tile by tile. */
  readonly summation: number
}

/** exp(−104) is below the smallest float32: what lies further under the maximum weighs nothing. */
const float32Range = 104

/**
 * The exponent of key j reaches the kernel with the score's error, the error of base-2 scores (2u|s|), and of exp
 * itself: ε₀ + ε₁|s_j − s_max|. Online softmax multiplies earlier weights by exp(old maximum − new maximum) where the
 * maximum rises: these errors telescope, but for one ε₀ each.
 */
export function rowError(terms: readonly SoftmaxTerm[], maximum: number, arithmetic: Arithmetic): RowError {
  const rises = risesOfMaximum(terms)
  const certain = terms.reduce((highest, { score, error }) => Math.max(highest, score - error), -Infinity)
  const plausible = terms.map(({ score, error }) => score + error >= certain - float32Range)
  const exponents = Float64Array.from(
    terms,
    ({ score, error }) =>
      error + 2 * arithmetic.unit * Math.abs(score) + (rises + 1) * arithmetic.exp + arithmetic.expSlope * (maximum - score),
  )
  const largest = exponents.reduce((worst, error, index) => (plausible[index] ? Math.max(worst, error) : worst), 0)
  return { exponents, plausible, spread: Math.exp(2 * largest), summation: accumulated(terms.length + rises + 2, arithmetic) }
}

/**
 * How often the running maximum may rise: once per key that exceeds all before it, or once per tile where tiles are
 * visited in another order.
 */
function risesOfMaximum(terms: readonly SoftmaxTerm[]): number {
  let maximum = -Infinity
  let rises = 0
  for (const { score } of terms) {
    if (score > maximum) {
      maximum = score
      rises++
    }
  }
  return Math.max(rises, Math.ceil(terms.length / 16)) + 1
}

/**
 * Bound of one output component, Σ p_j v_j = `output`:
 *
 *     spread · Σ p_j |v_j − o| · exponent error_j     the weights are off
 *     + γ(n + rises + 2) · (Σ p_j |v_j| + |o|)         the sums are rounded, the lower one's reciprocal too
 *     + w · Σ p_j |v_j|                                 values times their scales, weights times 1/(1 − p), are rounded
 *     + (u + u_out) |o| + underflow                    quotient (or product with 1/l) and output dtype are rounded
 *
 * The first line is exact: for weights w_j e^{δ_j} with |δ_j| ≤ d_j, Σ w_j (v_j − o) = 0 turns the error into
 * Σ w_j (e^{δ_j} − 1)(v_j − o) / Σ w_j e^{δ_j}, and |e^δ − 1| ≤ |δ| e^|δ|. It never exceeds the largest |v_j − o| of a key
 * that may have weight at all, since a weighted mean does not. In the second, a sum of n weights over the tiles is rounded n − 1
 * times, and once for each time that the maximum rises; of what is left one is the reciprocal's, where a kernel multiplies by 1/l.
 * A factor of 1.01 covers second orders of the rest.
 */
export function outputBound(
  terms: readonly SoftmaxTerm[],
  values: Float64Array,
  output: number,
  row: RowError,
  { problem, platform, arithmetic }: Inputs,
): number {
  let weights = 0
  let furthest = 0
  let magnitude = 0
  let largest = 0
  let lost = 0
  const scaledUp = problem.dropout ? 1 / (1 - problem.dropout.probability) : 1 // of values that dropout kept
  terms.forEach(({ weight }, term) => {
    const value = values[term] ?? NaN
    const distance = Math.abs(value - output)
    if (row.plausible[term]) {
      weights += weight * distance * (row.exponents[term] ?? 0)
      furthest = Math.max(furthest, distance)
    }
    magnitude += weight * Math.abs(value)
    largest = Math.max(largest, Math.abs(value))
    lost += weight * scaledUp * flushed(value / scaledUp, problem.value.dtype, platform)
  })
  const size = Math.abs(output)
  const moved = row.spread * weights
  const sums = row.summation * (magnitude + size) + valueRoundings(problem, arithmetic) * magnitude
  const { relative, absolute } = storing(problem.query.dtype, platform)
  const rounded = 1.01 * ((moved <= furthest ? moved : furthest) + sums + (arithmetic.unit + relative) * size)
  // Tiny weights may be flushed to zero anywhere, tiny products and sums by a GPU only; a CPU rounds them to multiples of 2⁻¹⁴⁹.
  // A kernel may multiply weights by scales before it multiplies by codes c: of p · scale half a step is lost, and |c| times that.
  const step = underflow * (platform === 'wgsl' ? 2 : 2 ** -23)
  const tiny = terms.length * (underflow * largest + step + largestCode(problem) * (step / 2))
  return rounded + lost + absolute + tiny
}

/**
 * lse = log Σ e^{s_j}: errors d_j of the exponents move it by at most log Σ p_j e^{d_j} (downwards less, by convexity);
 * the sum's relative error is its logarithm's absolute one; maximum and logarithm are added and rounded.
 */
export function lseBound(
  terms: readonly SoftmaxTerm[],
  lse: number,
  maximum: number,
  row: RowError,
  arithmetic: Arithmetic,
): number {
  const largest = row.exponents.reduce((worst, error, index) => (row.plausible[index] ? Math.max(worst, error) : worst), 0)
  const moved = terms.reduce(
    (sum, { weight }, index) => (row.plausible[index] ? sum + weight * Math.exp((row.exponents[index] ?? 0) - largest) : sum),
    0,
  )
  const logarithm = Math.abs(lse - maximum)
  const { unit, log, logNearOne } = arithmetic
  return (
    1.01 * (largest + (moved > 0 ? Math.log(moved) : 0) + row.summation + log * logarithm + logNearOne) +
    3 * unit * (Math.abs(maximum) + logarithm) +
    underflow * (terms.length + 1)
  )
}

/** What quantisation and dropout (whose factor is rounded, too) do to each value's share. */
function valueRoundings({ valueScales, dropout }: AttentionProblem, { unit }: Arithmetic): number {
  return (valueScales ? unit : 0) + (dropout ? 2 * unit : 0)
}

/** The largest whole number that stands for a quantised value before its scale; 0 where values are not quantised. */
function largestCode({ value, valueScales }: AttentionProblem): number {
  if (valueScales === undefined) return 0
  return value.dtype === 'uint8' ? 8 : 128
}

/** Storing a float32 result as the output's dtype: to nearest on the CPU, in either direction by WGSL. */
function storing(dtype: Dtype, platform: Platform): { relative: number; absolute: number } {
  const directions = platform === 'wgsl' ? 2 : 1
  // Below the normal range: half a step, or all of it where a GPU flushes to zero.
  if (dtype === 'bfloat16') return { relative: directions * 2 ** -8, absolute: platform === 'wgsl' ? 2 ** -126 : 2 ** -134 }
  if (dtype === 'float16') return { relative: directions * 2 ** -11, absolute: platform === 'wgsl' ? 2 ** -14 : 2 ** -25 }
  return { relative: 0, absolute: 0 }
}
