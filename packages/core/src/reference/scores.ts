import { firstPosition, visibleKeys } from '../visibility.ts'
import { accumulated, add, divide, exact, multiply, rounded, tanh, type Arithmetic, type Estimate } from '../estimate.ts'
import type { PairEstimate } from './expression-estimate.ts'
import { flushed, type Inputs } from './inputs.ts'

/** One visible key's score on its way through scale, softcap, bias and score expression, with its error in a kernel. */
export interface PairScore {
  /** scale · q·k */
  readonly scaled: Estimate
  /** softcap · tanh(scaled / softcap), or `scaled` without softcap. */
  readonly capped: Estimate
  /** Which tokens, and the score with the bias: what the score expression is given. */
  readonly pair: PairEstimate
  /** What the softmax sees. */
  readonly final: Estimate
}

/**
 * The keys that a row sees, each with its score. A bias of −∞ hides a key as a mask does, whatever a score expression
 * would make of it, and so does a final score of −∞: the key's value takes no part, even if it is NaN.
 */
export function scoreRow(inputs: Inputs, batch: number, head: number, row: number): PairScore[] {
  const { problem, arithmetic, bias, scoreMod } = inputs
  const validKeys = inputs.lengths[batch] ?? 0
  const query = firstPosition(problem, validKeys) + row
  const { first, end } = visibleKeys(problem, query, validKeys)
  const seen: PairScore[] = []
  for (let key = first; key < end; key++) {
    if (inputs.mask && inputs.mask(batch, head, row, key) === 0) continue
    if (inputs.maskMod && inputs.maskMod(batch, head, query, key, row, NaN) === 0) continue
    const scaled = scaledProduct(inputs, batch, head, row, key)
    const capped = problem.softcap === 0 ? scaled : softcapped(scaled, problem.softcap, arithmetic)
    const score = bias ? withBias(capped, bias(batch, head, row, key), arithmetic) : capped
    if (score.value === -Infinity) continue
    const pair = { batch, head, query, key, row, score }
    const final = scoreMod ? scoreMod(pair) : score
    if (final.value !== -Infinity) seen.push({ scaled, capped, pair, final })
  }
  return seen
}

/** Offsets of a row's query vector and of a key's vectors in the row-major inputs, in vectors. */
export function queryVector({ problem }: Inputs, batch: number, head: number, row: number): number {
  return (batch * problem.queryHeads + head) * problem.queryLength + row
}

export function keyVector({ problem }: Inputs, batch: number, head: number, key: number): number {
  return (batch * problem.keyHeads + Math.floor(head / problem.group)) * problem.keyLength + key
}

function scaledProduct(inputs: Inputs, batch: number, head: number, row: number, key: number): Estimate {
  const { query, key: keys, problem, arithmetic, platform } = inputs
  const { headDim, scale } = problem
  const queryAt = queryVector(inputs, batch, head, row) * headDim
  const keyAt = keyVector(inputs, batch, head, key) * headDim
  let sum = 0
  let magnitude = 0
  let lost = 0
  for (let c = 0; c < headDim; c++) {
    const q = query[queryAt + c] ?? 0
    const k = keys[keyAt + c] ?? 0
    sum += q * k
    magnitude += Math.abs(q * k)
    if (platform === 'wgsl') {
      lost += flushed(q, problem.query.dtype, platform) * Math.abs(k) + Math.abs(q) * flushed(k, problem.key.dtype, platform)
    }
  }
  const roundings = headDim + 1 + (problem.keyScales ? 1 : 0)
  return { value: scale * sum, error: Math.abs(scale) * (accumulated(roundings, arithmetic) * magnitude + lost) }
}

function softcapped(score: Estimate, softcap: number, arithmetic: Arithmetic): Estimate {
  const cap = rounded(softcap)
  return multiply(cap, tanh(divide(score, cap, arithmetic), arithmetic), arithmetic)
}

/** A bias may be multiplied by log₂e on its way, where exponentials are taken to base 2. */
function withBias(score: Estimate, bias: number, arithmetic: Arithmetic): Estimate {
  const error = 2 * arithmetic.unit * Math.abs(bias)
  return bias === -Infinity ? exact(-Infinity) : add(score, { value: bias, error }, arithmetic)
}
