import type { HostPartial, HostTensor } from '@qkv/core'
import { problemBlockMap, type BlockMap } from '@qkv/core/block-map'
import type { HostProblem } from './host-problem.ts'
import { forEachRow, loadRow } from './rows.ts'
import { makeScoreSums, type ScoreSums } from './score-gradient.ts'
import { scoreRule, type ScoreRule } from './score-rule.ts'
import type { Vectors } from './vectors.ts'

export const gradientTile = { queries: 32, keys: 32 } as const

/** What both passes need of the problem. */
export interface GradientSetting {
  readonly problem: HostProblem
  readonly map: BlockMap
  readonly rule: ScoreRule
  readonly sums: ScoreSums
  readonly query: Vectors
  readonly key: Vectors
  readonly value: Vectors
  readonly dOutput: Vectors
  /** [batch · queryHeads · queryLength] */
  readonly lse: Float64Array
  /** D: what the weights of a row would have to change by, were they all of one size. */
  readonly delta: Float64Array
}

export function makeGradientSetting(problem: HostProblem, { output, lse }: HostPartial, dOutput: HostTensor): GradientSetting {
  const { headDim, valueDim, query, key, value, keyScales, valueScales } = problem
  return {
    problem,
    map: problemBlockMap(problem, gradientTile),
    rule: scoreRule(problem),
    sums: makeScoreSums(problem),
    query: { tensor: query, dim: headDim, scales: undefined },
    key: { tensor: key, dim: headDim, scales: keyScales },
    value: { tensor: value, dim: valueDim, scales: valueScales },
    dOutput: { tensor: dOutput, dim: valueDim, scales: undefined },
    lse: numbersOf(lse),
    delta: rowProducts(output, dOutput),
  }
}

function numbersOf(tensor: HostTensor): Float64Array {
  const { shape, strides } = tensor
  const numbers = new Float64Array(shape.reduce((count, size) => count * size, 1))
  const one = new Float64Array(1)
  const oneByOne = { ...tensor, shape: [...shape, 1], strides: [...strides, 0] }
  forEachRow(oneByOne.shape, [oneByOne], ([start = 0], row) => {
    loadRow(oneByOne, start, one)
    numbers[row] = one[0]!
  })
  return numbers
}

/** Σ a∘b of each row. */
function rowProducts(a: HostTensor, b: HostTensor): Float64Array {
  const dim = a.shape.at(-1)!
  const products = new Float64Array(a.shape.slice(0, -1).reduce((count, size) => count * size, 1))
  const [x, y] = [new Float64Array(dim), new Float64Array(dim)]
  forEachRow(a.shape, [a, b], ([first = 0, second = 0], row) => {
    loadRow(a, first, x)
    loadRow(b, second, y)
    for (let c = 0; c < dim; c++) products[row]! += x[c]! * y[c]!
  })
  return products
}
