import { capture, scoreMod, toFloat64, type HostTensor } from '@qkv/core'
import type { ContentGradient, ContentInputs, ContentScore, ContentTerms, TermsGradient } from '../encoding.ts'
import { checkTable } from '../refuse.ts'
import { contentScore } from './content-score.ts'
import { addScaled, dot, float32Tensor, forEachToken, readVectors, rowOf, startOf, vectors, type Vectors } from './vectors.ts'

export interface CopeOptions {
  /** [positions, headDim], trained, shared by the heads. Counts beyond the last position count as the last. */
  readonly table: HostTensor
}

/**
 * Contextual positions: a query counts the tokens back to each key, but only as far as a gate opens for them,
 *
 *     pᵢⱼ = Σₖ σ(scale · qᵢ·kₖ),  k = j … i,      score + qᵢ·e(pᵢⱼ),
 *
 * where e(p) lies between the trained vectors of the whole numbers around p. Golovneva et al. 2024, arXiv:2405.18719.
 *
 * A count needs the products of all keys in between, so no kernel can make it from one pair: it is made before attention
 * and captured as a bias [batch, heads, queries, keys]. That takes the memory that attention here otherwise never takes.
 * Keys after a query get none of it: meant for causal attention.
 */
export function cope({ table }: CopeOptions): ContentScore {
  const [positions = 0, headDim = 0] = checkTable('cope', 'table', table, ['positions', 'headDim'])
  return contentScore('cope', { headDim }, [table], (inputs) => terms(inputs, { e: toFloat64(table), positions, headDim }))
}

interface Weights {
  readonly e: Float64Array
  readonly positions: number
  readonly headDim: number
}

function terms(inputs: ContentInputs, weights: Weights): ContentTerms {
  const { query, key } = inputs
  const counted = { q: readVectors(query), k: readVectors(key), scale: inputs.scale, start: (b: number) => startOf(inputs, b) }
  const { q, k } = counted
  const bias = vectors([...q.shape.slice(0, 3), k.length])
  forEachToken(q, (b, h, i) => {
    const row = bias.at(b, h, i)
    countKeys(counted, b, h, i, (j, count) => {
      const { below, above, share } = neighbours(count, weights)
      row[j] = (1 - share) * dot(q.at(b, h, i), below) + share * dot(q.at(b, h, i), above)
    })
  })
  const captured = float32Tensor(bias.values, bias.shape)
  const added = capture(captured)
  return {
    query,
    key,
    scoreMod: scoreMod((score, pair) => score.add(added.at(pair.batch, pair.head, pair.row, pair.key))),
    captured: [captured],
    backward: (gradient) => backward(counted, vectors(bias.shape, toFloat64(gradient.captured.get(captured)!)), gradient, weights),
  }
}

/** Whose keys are counted. */
interface Counted {
  readonly q: Vectors
  readonly k: Vectors
  readonly scale: number
  /** Where the first query of a batch entry stands. */
  start(batch: number): number
}

/** Visits the keys of a query from its own place to the first, with the sum of gates on the way and the key's own gate. */
function countKeys(
  { q, k, scale, start }: Counted,
  b: number,
  h: number,
  i: number,
  visit: (j: number, count: number, gate: number) => void,
): void {
  const keyHead = keyHeadOf(h, q, k)
  let count = 0
  for (let j = Math.min(k.length - 1, start(b) + i); j >= 0; j--) {
    const gate = 1 / (1 + Math.exp(-scale * dot(q.at(b, h, i), k.at(b, keyHead, j))))
    count += gate
    visit(j, count, gate)
  }
}

/** The key head that query head `h` reads. */
function keyHeadOf(h: number, q: Vectors, k: Vectors): number {
  return Math.floor((h * k.heads) / q.heads)
}

/** The vectors of the whole numbers around a count, and how near it is to the upper one. */
function neighbours(count: number, { e, positions, headDim }: Weights) {
  const position = Math.min(count, positions - 1)
  const lower = Math.floor(position)
  const upper = Math.ceil(position)
  return { lower, upper, below: rowOf(e, lower, headDim), above: rowOf(e, upper, headDim), share: position - lower }
}

function backward(counted: Counted, dBias: Vectors, gradient: TermsGradient, weights: Weights): ContentGradient {
  const { q, k, scale } = counted
  const { e, positions, headDim } = weights
  const [dQuery, dKey] = [readVectors(gradient.dQuery), readVectors(gradient.dKey)]
  const de = new Float64Array(e.length)
  forEachToken(q, (b, h, i) => {
    const [query, dq, dRow] = [q.at(b, h, i), dQuery.at(b, h, i), dBias.at(b, h, i)]
    const dCounts = new Float64Array(k.length)
    const gates = new Float64Array(k.length)
    countKeys(counted, b, h, i, (j, count, gate) => {
      const { lower, upper, below, above, share } = neighbours(count, weights)
      addScaled(dq, dRow[j]! * (1 - share), below)
      addScaled(dq, dRow[j]! * share, above)
      addScaled(rowOf(de, lower, headDim), dRow[j]! * (1 - share), query)
      addScaled(rowOf(de, upper, headDim), dRow[j]! * share, query)
      gates[j] = gate
      if (count < positions - 1) dCounts[j] = dRow[j]! * (dot(query, above) - dot(query, below))
    })
    // A gate counts for its own key and for all before it.
    const keyHead = keyHeadOf(h, q, k)
    let dGate = 0
    gates.forEach((gate, j) => {
      dGate += dCounts[j]!
      const dProduct = scale * dGate * gate * (1 - gate)
      addScaled(dq, dProduct, k.at(b, keyHead, j))
      addScaled(dKey.at(b, keyHead, j), dProduct, query)
    })
  })
  return {
    dQuery: float32Tensor(dQuery.values, q.shape),
    dKey: float32Tensor(dKey.values, k.shape),
    parameters: [float32Tensor(de, [positions, headDim])],
  }
}
