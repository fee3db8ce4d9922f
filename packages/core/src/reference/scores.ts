import { firstPosition, visibleKeys } from '../visibility.ts'
import { accumulated, add, divide, exact, multiply, rounded, tanh, type Arithmetic, type Estimate } from './estimate.ts'
import type { Inputs } from './inputs.ts'

/** One visible key's score on its way through scale, softcap and bias to its final value. */
export interface PairScore {
  readonly key: number
  /** scale · q·k */
  readonly scaled: Estimate
  /** softcap · tanh(scaled / softcap), or `scaled` without softcap. */
  readonly capped: Estimate
  readonly biased: Estimate
  /** What the softmax sees. */
  readonly final: Estimate
}

/**
 * The keys that a row sees, each with its score. A key whose final score is −∞ is not seen, as if it were masked: its
 * value takes no part, whatever it is.
 */
export function scoreRow(inputs: Inputs, batch: number, head: number, row: number, arithmetic: Arithmetic): PairScore[] {
  const { problem } = inputs
  const validKeys = inputs.lengths[batch] ?? 0
  const position = firstPosition(problem, validKeys) + row
  const { first, end } = visibleKeys(problem, position, validKeys)
  const seen: PairScore[] = []
  for (let key = first; key < end; key++) {
    if (inputs.mask && inputs.mask(batch, head, row, key) === 0) continue
    const scaled = scaledProduct(inputs, batch, head, row, key, arithmetic)
    const capped = problem.softcap === 0 ? scaled : softcapped(scaled, problem.softcap, arithmetic)
    const biased = inputs.bias ? withBias(capped, inputs.bias(batch, head, row, key), arithmetic) : capped
    const final = biased
    if (final.value !== -Infinity) seen.push({ key, scaled, capped, biased, final })
  }
  return seen
}

function scaledProduct(
  { problem, query, key: keys }: Inputs,
  batch: number,
  head: number,
  row: number,
  key: number,
  arithmetic: Arithmetic,
): Estimate {
  const { headDim, scale } = problem
  const queryAt = ((batch * problem.queryHeads + head) * problem.queryLength + row) * headDim
  const keyHead = Math.floor(head / problem.group)
  const keyAt = ((batch * problem.keyHeads + keyHead) * problem.keyLength + key) * headDim
  let sum = 0
  let magnitude = 0
  for (let c = 0; c < headDim; c++) {
    const product = (query[queryAt + c] ?? 0) * (keys[keyAt + c] ?? 0)
    sum += product
    magnitude += Math.abs(product)
  }
  return { value: scale * sum, error: accumulated(headDim + 1, arithmetic) * Math.abs(scale) * magnitude }
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
