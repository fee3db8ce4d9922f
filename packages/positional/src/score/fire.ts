import { capture, tensor, toFloat64, type FloatExpression, type HostTensor } from '@qkv/core'
import type { PositionScore } from '../encoding.ts'
import { checkTable, misshapen } from '../refuse.ts'
import { positionScore } from './position-score.ts'

export interface FireOptions {
  /** [hidden] Of the first layer, from one input; at most 32 hidden units. */
  readonly weight1: HostTensor
  /** [hidden] */
  readonly bias1: HostTensor
  /** [heads, hidden] Of the second layer. */
  readonly weight2: HostTensor
  /** [heads] */
  readonly bias2: HostTensor
  /** How strongly the logarithm bends distances. Default 0.1. */
  readonly c?: number | undefined
  /** Up to this position distances are measured against L, beyond it against the position. Default 512. */
  readonly L?: number | undefined
}

/**
 * Functional interpolation: a small network of a distance that is measured against the query's own position, so that
 * any length falls within the trained range,
 *
 *     score + f(ψ(query − key) / (ψ(max(query, L)) + 10⁻⁶)),   ψ(x) = ln(|c·x| + 1),   f(x) = W₂·relu(w₁·x + b₁) + b₂.
 *
 * Li et al. 2023, arXiv:2310.04418.
 *
 * A unit relu(w·x + b) of one input is |w|·relu(±(x − t)), t = −b/w: it bends at t. The encoding trains in these terms;
 * its `parameters` are the bends t [hidden], the weights |w₁|·W₂ [hidden, heads], the bias [heads], and c and L [2].
 */
export function fire({ weight1, bias1, weight2, bias2, c = 0.1, L = 512 }: FireOptions): PositionScore {
  const [units = 0] = checkTable('fire', 'weight1', weight1, ['hidden'])
  if (units > 32) throw misshapen('fire', 'weight1', '[hidden], with at most 32 hidden units', weight1.shape)
  checkTable('fire', 'bias1', bias1, [units])
  const [heads = 0] = checkTable('fire', 'weight2', weight2, ['heads', units])
  checkTable('fire', 'bias2', bias2, [heads])

  const slopes = toFloat64(weight1)
  const { bends, weights, bias } = bendingUnits(slopes, toFloat64(bias1), toFloat64(weight2), toFloat64(bias2))
  const shape = tensor(Float32Array.of(c, L), [2])
  const [bend, weight, height, bending] = [capture(bends), capture(weights), capture(bias), capture(shape)]
  return positionScore([bends, weights, bias, shape], (score, { head, query, key }) => {
    const psi = (x: FloatExpression): FloatExpression => x.mul(bending.at(0)).abs().add(1).log()
    const x = psi(query.sub(key).toFloat()).div(psi(query.toFloat().max(bending.at(1))).add(1e-6))
    const terms = Array.from(slopes, (slope, unit) => {
      const beyond = slope < 0 ? bend.at(unit).sub(x) : x.sub(bend.at(unit))
      return beyond.max(0).mul(weight.at(unit, head))
    })
    return score.add(height.at(head)).add(sum(terms))
  })
}

/** f in terms of where its units bend. A unit that does not depend on x adds to the bias. */
function bendingUnits(slopes: Float64Array, offsets: Float64Array, weight2: Float64Array, bias2: Float64Array) {
  const [units, heads] = [slopes.length, bias2.length]
  const bends = Float32Array.from(slopes, (slope, unit) => (slope === 0 ? 0 : -offsets[unit]! / slope))
  const weights = new Float32Array(units * heads)
  const bias = Float64Array.from(bias2)
  for (let head = 0; head < heads; head++) {
    slopes.forEach((slope, unit) => {
      const outer = weight2[head * units + unit]!
      weights[unit * heads + head] = Math.abs(slope) * outer
      if (slope === 0) bias[head]! += Math.max(0, offsets[unit]!) * outer
    })
  }
  return {
    bends: tensor(bends, [units]),
    weights: tensor(weights, [units, heads]),
    bias: tensor(Float32Array.from(bias), [heads]),
  }
}

/** A sum as a tree, so that expressions stay shallow. */
function sum(terms: readonly FloatExpression[]): FloatExpression {
  const [first, ...others] = terms
  if (first === undefined) throw new RangeError('nothing to add')
  if (others.length === 0) return first
  const middle = Math.ceil(terms.length / 2)
  return sum(terms.slice(0, middle)).add(sum(terms.slice(middle)))
}
