import { contiguousStrides, elementCount, type HostTensor, type ScoreMod, type Tensor } from '@qkv/core'
import { compileExpression, differentiate } from '@qkv/core/expression'
import type { HostProblem } from './host-problem.ts'
import { elementReader } from './score-rule.ts'

/** The gradient of a pair's scaled product from that of its final score. */
export type ScoreGradient = (
  batch: number,
  head: number,
  row: number,
  position: number,
  key: number,
  scaled: number,
  dFinal: number,
) => number

/** Sums over pairs, in the shape of what they are the gradient of. */
export interface GradientSum {
  readonly shape: readonly number[]
  readonly sum: Float64Array
}

/** Gradients of what a problem's scores are made of besides queries and keys. */
export interface ScoreSums {
  readonly bias: GradientSum | undefined
  readonly captured: ReadonlyMap<HostTensor, GradientSum>
}

export function makeScoreSums({ bias, scoreMod }: HostProblem): ScoreSums {
  const sumOf = (shape: readonly number[]): GradientSum => ({ shape, sum: new Float64Array(elementCount(shape)) })
  return {
    bias: bias && sumOf(ownShape(bias)),
    captured: new Map(capturedTensors(scoreMod).map((tensor) => [tensor, sumOf(tensor.shape)])),
  }
}

/** The float tensors that a score expression reads. */
export function capturedTensors(scoreMod: ScoreMod | undefined): readonly HostTensor[] {
  return scoreMod === undefined ? [] : [...new Set(differentiate(scoreMod).captures.map(({ read }) => read.tensor))]
}

/** A tensor's axes with those along which it repeats at size 1. */
export function ownShape({ shape, strides }: Pick<Tensor, 'shape' | 'strides'>): readonly number[] {
  return shape.map((size, axis) => (strides[axis] === 0 ? 1 : size))
}

/**
 * Back through score expression, bias and softcap, in that order, adding what each pair contributes to `sums` on the
 * way. Undefined where a score is the scaled product itself.
 */
export function scoreGradient(problem: HostProblem, sums: ScoreSums | undefined): ScoreGradient | undefined {
  const { softcap, bias, scoreMod } = problem
  if (softcap === 0 && bias === undefined && scoreMod === undefined) return undefined
  const biasAt = bias && elementReader(bias)
  const slope = scoreMod && compileExpression(differentiate(scoreMod).score)
  const addToBias = sums?.bias && biasCollector(sums.bias)
  const addToCaptured = sums && scoreMod ? captureCollectors(scoreMod, sums) : []
  return (batch, head, row, position, key, scaled, dFinal) => {
    const tanh = softcap === 0 ? 0 : Math.tanh(scaled / softcap)
    const capped = softcap === 0 ? scaled : softcap * tanh
    const score = biasAt === undefined ? capped : capped + biasAt(batch, head, row, key)
    for (let c = 0; c < addToCaptured.length; c++) addToCaptured[c]!(batch, head, row, position, key, score, dFinal)
    const dScore = slope === undefined ? dFinal : dFinal * slope(batch, head, position, key, row, score)
    addToBias?.(batch, head, row, key, dScore)
    return softcap === 0 ? dScore : dScore * (1 - tanh * tanh)
  }
}

function biasCollector({ shape, sum }: GradientSum) {
  const strides = contiguousStrides(shape)
  const [byBatch, byHead, byRow, byKey] = strides.map((stride, axis) => (shape[axis] === 1 ? 0 : stride)) as [
    number,
    number,
    number,
    number,
  ]
  return (batch: number, head: number, row: number, key: number, dScore: number): void => {
    sum[batch * byBatch + head * byHead + row * byRow + key * byKey]! += dScore
  }
}

type CaptureCollector = (
  batch: number,
  head: number,
  row: number,
  position: number,
  key: number,
  score: number,
  dFinal: number,
) => void

/** One for each place where the expression reads a captured tensor: its element gains the score's gradient times the slope there. */
function captureCollectors(scoreMod: ScoreMod, { captured }: ScoreSums): readonly CaptureCollector[] {
  return differentiate(scoreMod).captures.map(({ read, derivative }) => {
    const { shape, sum } = captured.get(read.tensor)!
    const strides = contiguousStrides(shape)
    const indices = read.indices.map(compileExpression)
    const slope = compileExpression(derivative)
    return (batch, head, row, position, key, score, dFinal) => {
      let element = 0
      for (let axis = 0; axis < indices.length; axis++)
        element += indices[axis]!(batch, head, position, key, row, score) * strides[axis]!
      sum[element]! += dFinal * slope(batch, head, position, key, row, score)
    }
  })
}
