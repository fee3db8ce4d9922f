import { QkvError, describe } from '@qkv/core'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { randomStream } from '../random-stream.ts'

/** Picks the next token from the logits of all. */
export type Sampler = (logits: ArrayLike<number>) => number

/** The likeliest token, the lowest of equals. */
export const greedy: Sampler = (logits) => {
  let best = -1
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] ?? NaN
    if (!(logit < Infinity)) throw nonFinite(token, logit)
    if (best < 0 || logit > (logits[best] ?? NaN)) best = token
  }
  return best
}

export interface SamplingOptions {
  /** Divides the logits: below 1 the likely become likelier, 0 is {@link greedy}. Default 1. */
  readonly temperature?: number | undefined
  /**
   * Draws from the fewest, likeliest tokens whose probabilities reach this sum (Holtzman et al., The curious case of
   * neural text degeneration, 2019). Above 0, at most 1; default 1, which leaves all.
   */
  readonly topP?: number | undefined
  /** The same seed draws the same text; a whole number of 32 bits, default 0. */
  readonly seed?: number | undefined
}

/** Draws tokens by their probability. Each sampler is a random stream of its own. */
export function sampler(options: SamplingOptions = {}): Sampler {
  const { temperature = 1, topP = 1, seed = 0 } = options
  check('temperature', temperature, Number.isFinite(temperature) && temperature >= 0, 'a number ≥ 0')
  check('topP', topP, topP > 0 && topP <= 1, 'above 0 and at most 1')
  check('seed', seed, Number.isSafeInteger(seed) && seed >= -(2 ** 31) && seed < 2 ** 32, 'a whole number of 32 bits')
  if (temperature === 0) return greedy
  const generator = randomStream(seed)
  return (logits) => drawFrom(nucleus(softmax(logits, temperature), topP), uniformFloat64(generator))
}

interface Candidate {
  readonly token: number
  readonly probability: number
}

function softmax(logits: ArrayLike<number>, temperature: number): Candidate[] {
  const highest = logits[greedy(logits)] ?? NaN
  const weights = Array.from(logits, (logit) => Math.exp((logit - highest) / temperature))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight, token) => ({ token, probability: weight / total }))
}

function nucleus(candidates: Candidate[], topP: number): readonly Candidate[] {
  if (topP === 1) return candidates
  candidates.sort((a, b) => b.probability - a.probability || a.token - b.token)
  let reached = 0
  const end = candidates.findIndex(({ probability }) => (reached += probability) >= topP)
  return end < 0 ? candidates : candidates.slice(0, end + 1)
}

/** The candidate at the fraction `uniform` of the probabilities laid end to end. */
function drawFrom(candidates: readonly Candidate[], uniform: number): number {
  const total = candidates.reduce((sum, { probability }) => sum + probability, 0)
  let left = uniform * total
  let drawn = 0
  for (const { token, probability } of candidates) {
    // Rounding may leave a rest at the end: it belongs to the last token that can be drawn at all.
    if (probability > 0) drawn = token
    left -= probability
    if (left < 0) break
  }
  return drawn
}

function check(argument: string, value: unknown, valid: boolean, expected: string): void {
  if (!valid) throw new QkvError({ code: 'OPTION_INVALID', operation: 'sampler', argument, expected, received: describe(value) })
}

function nonFinite(token: number, logit: number): QkvError {
  return new QkvError({
    code: 'NON_FINITE',
    operation: 'sampler',
    argument: `logits[${token}]`,
    expected: 'a number, or −∞ for a token that must not come',
    received: String(logit),
  })
}
