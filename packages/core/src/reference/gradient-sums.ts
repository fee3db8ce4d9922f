import { differentiate } from '../expression/derivative.ts'
import type { ExpressionNode, ScoreMod } from '../expression/node.ts'
import { contiguousStrides, elementCount } from '../strides.ts'
import type { HostTensor, Tensor } from '../tensor.ts'
import type { Arithmetic, Estimate } from '../estimate.ts'
import { estimateExpression, type PairEstimate } from './expression-estimate.ts'
import type { Inputs } from './inputs.ts'
import { makeSums, type Sums } from './sums.ts'

/** All that a backward pass sums up, and how scores lead to it. */
export interface GradientSums {
  readonly query: Sums
  readonly key: Sums
  readonly value: Sums
  readonly sinks: Sums | undefined
  readonly bias: BiasSums | undefined
  readonly captured: readonly CapturedSums[]
  /** The score expression's derivative by the score it is given. */
  readonly slope: ((pair: PairEstimate) => Estimate) | undefined
  readonly reads: readonly CapturedRead[]
}

interface BiasSums {
  readonly sums: Sums
  readonly strides: readonly number[]
}

interface CapturedSums {
  readonly tensor: HostTensor
  readonly sums: Sums
}

/** One `tensor.at(…)` of the score expression. */
export interface CapturedRead {
  readonly into: CapturedSums
  readonly indices: readonly ((pair: PairEstimate) => Estimate)[]
  readonly strides: readonly number[]
  readonly derivative: (pair: PairEstimate) => Estimate
}

export function gradientSums({ problem, arithmetic, query, key, value, sinks }: Inputs): GradientSums {
  return {
    query: makeSums(query.length),
    key: makeSums(key.length),
    value: makeSums(value.length),
    sinks: sinks && makeSums(sinks.length),
    bias: problem.bias && biasSums(problem.bias),
    ...expressionSums(problem.scoreMod, arithmetic),
  }
}

function biasSums({ shape, strides }: Tensor): BiasSums {
  const own = shape.map((size, axis) => (strides[axis] === 0 ? 1 : size))
  const ownStrides = contiguousStrides(own).map((stride, axis) => (strides[axis] === 0 ? 0 : stride))
  return { sums: makeSums(elementCount(own)), strides: ownStrides }
}

function expressionSums(mod: ScoreMod | undefined, arithmetic: Arithmetic): Pick<GradientSums, 'captured' | 'slope' | 'reads'> {
  if (mod === undefined) return { captured: [], slope: undefined, reads: [] }
  const estimate = (node: ExpressionNode) => estimateExpression(node, arithmetic)
  const { score, captures } = differentiate(mod)
  const tensors = [...new Set(captures.map(({ read }) => read.tensor))]
  const captured = tensors.map((tensor) => ({ tensor, sums: makeSums(elementCount(tensor.shape)) }))
  return {
    captured,
    slope: estimate(score),
    reads: captures.map(({ read, derivative }) => ({
      into: captured[tensors.indexOf(read.tensor)]!,
      indices: read.indices.map(estimate),
      strides: contiguousStrides(read.tensor.shape),
      derivative: estimate(derivative),
    })),
  }
}
