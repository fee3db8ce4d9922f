import { problemBlockMap, type AttentionGradient, type AttentionProblem, type BlockMap, type HostPartial, type HostTensor, type Partial, type Tensor } from '@qkv/core'
import { hostView } from '../memory/storage.ts'
import { queryGradients } from './gradient-queries.ts'
import { keyGradients } from './gradient-keys.ts'
import { hostProblem, type HostProblem } from './host-problem.ts'
import { weightFromLse } from './pair-gradients.ts'
import { makeScoreSums, type GradientSum, type ScoreSums } from './score-gradient.ts'
import { scoreRule, type ScoreRule } from './score-rule.ts'
import { elementOf, type Vectors } from './vectors.ts'
import { forEachRow, loadRow } from './rows.ts'

/**
 * The gradient of attention by tiles, in float64, from nothing but the forward's output and lse: weights are computed
 * again. With D = Σ dO∘o of each row,
 *
 *     p  = exp(s − lse)               dV = pᵀ·dO
 *     dp = dO·vᵀ                      ds = p∘(dp − D), then back through score expression, bias and softcap
 *     dQ = scale·ds·k                 dK = scale·dsᵀ·q
 *
 * in two passes, over tiles of queries for dQ and over tiles of keys for dK and dV, so that each sum is one loop's own
 * and always of the same order. Dao et al., FlashAttention (2022), algorithm 4, with the loop over pairs run twice.
 */
export function attentionGradient(problem: AttentionProblem, forward: Partial, dOutput: Tensor, target: AttentionGradient): void {
  const setting = makeSetting(hostProblem(problem), { output: hostView(forward.output), lse: hostView(forward.lse) }, hostView(dOutput))
  queryGradients(setting, hostView(target.dQuery))
  keyGradients(setting, hostView(target.dKey), hostView(target.dValue))
  if (target.dSinks !== undefined) sinkGradients(setting, hostView(target.dSinks))
  if (target.dBias !== undefined && setting.sums.bias !== undefined) store(setting.sums.bias, hostView(target.dBias))
  for (const [captured, gradient] of target.captured) store(setting.sums.captured.get(captured)!, hostView(gradient))
}

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

function makeSetting(problem: HostProblem, { output, lse }: HostPartial, dOutput: HostTensor): GradientSetting {
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

/** A sink's weight has no value, so it only takes: dsink = Σ −exp(sink − lse)·D over the rows of its head. */
function sinkGradients({ problem, lse, delta }: GradientSetting, dSinks: HostTensor): void {
  const { sinks, batch, queryHeads, queryLength } = problem
  if (sinks === undefined) return
  for (let head = 0; head < queryHeads; head++) {
    const sink = elementOf(sinks, head)
    let sum = 0
    for (let entry = 0; entry < batch && sink !== -Infinity; entry++) {
      const start = (entry * queryHeads + head) * queryLength
      for (let at = start; at < start + queryLength; at++) sum -= weightFromLse(sink, lse[at]!) * delta[at]!
    }
    dSinks.storage[dSinks.offset + head] = sum
  }
}

function store({ sum }: GradientSum, { storage, offset }: HostTensor): void {
  storage.set(sum, offset)
}
