import {
  dropoutHash,
  dropoutThreshold,
  elementCount,
  firstPosition,
  toFloat32,
  visibleKeys,
  type AttentionProblem,
  type HostTensor,
} from '@qkv/core'
import { compileExpression, differentiate, type CompiledExpression } from '@qkv/core/expression'
import { decode, float32Kernel, givenScore, type Data, type Tile } from './float32-kernel.ts'

const f = Math.fround

/** One way in which a backward kernel is wrong. */
export type GradientDefect =
  | 'delta forgotten'
  | 'delta without dropout'
  | 'weights in bfloat16'
  | 'scale forgotten'
  | 'softcap slope forgotten'
  | 'softcap slope of the score'
  | 'score slope forgotten'
  | 'only one head of the group'
  | 'last key is skipped'
  | 'first row is skipped'
  | 'dropout forgotten in dV'
  | 'sink without its minus'
  | 'exp off by 1e-5'

export interface Float32Gradient {
  readonly dQuery: Float32Array
  readonly dKey: Float32Array
  readonly dValue: Float32Array
  readonly dBias: Float32Array | undefined
  readonly dSinks: Float32Array | undefined
  readonly captured: ReadonlyMap<HostTensor, Float32Array>
}

interface Derivatives {
  readonly slope: CompiledExpression | undefined
  readonly reads: readonly { tensor: HostTensor; indices: readonly CompiledExpression[]; derivative: CompiledExpression }[]
}

/** The backward pass in float32, every operation rounded, from the outputs and log-sum-exps of a float32 forward. */
export function float32Gradient(problem: AttentionProblem, dOutput: HostTensor, defect?: GradientDefect): Float32Gradient {
  const data = decode(problem)
  const forward = float32Kernel(problem)
  const { batch, queryHeads, queryLength, keyHeads, keyLength, headDim, valueDim, group, bias, scoreMod } = problem
  const derivatives = derivativesOf(scoreMod)
  const dO = toFloat32(dOutput)
  const result: Float32Gradient = {
    dQuery: new Float32Array(batch * queryHeads * queryLength * headDim),
    dKey: new Float32Array(batch * keyHeads * keyLength * headDim),
    dValue: new Float32Array(batch * keyHeads * keyLength * valueDim),
    dBias: bias && new Float32Array(elementCount(bias.shape.map((size, axis) => (bias.strides[axis] === 0 ? 1 : size)))),
    dSinks: data.sinks && new Float32Array(queryHeads),
    captured: new Map(derivatives.reads.map(({ tensor }) => [tensor, new Float32Array(elementCount(tensor.shape))])),
  }
  for (let at = 0, b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) {
      for (let i = 0; i < queryLength; i++, at++) {
        if (defect === 'first row is skipped' && i === 0) continue
        if (defect === 'only one head of the group' && h % group !== 0) continue
        const lse = forward.lse[at] ?? 0
        let delta = 0
        for (let c = 0; c < valueDim; c++)
          delta = f(delta + f((dO[at * valueDim + c] ?? 0) * f(forward.output[at * valueDim + c] ?? 0)))
        if (defect === 'delta forgotten') delta = 0
        const sink = data.sinks?.[h]
        if (result.dSinks && sink !== undefined && sink !== -Infinity) {
          const share = f(f(Math.exp(f(sink - lse))) * delta)
          result.dSinks[h] = f((result.dSinks[h] ?? 0) + (defect === 'sink without its minus' ? share : -share))
        }
        addRow(problem, data, derivatives, { at, b, h, i, lse, delta, dO }, result, defect)
      }
    }
  }
  return result
}

function derivativesOf(mod: AttentionProblem['scoreMod']): Derivatives {
  if (mod === undefined) return { slope: undefined, reads: [] }
  const { score, captures } = differentiate(mod)
  return {
    slope: compileExpression(score),
    reads: captures.map(({ read, derivative }) => ({
      tensor: read.tensor,
      indices: read.indices.map(compileExpression),
      derivative: compileExpression(derivative),
    })),
  }
}

interface Row {
  readonly at: number
  readonly b: number
  readonly h: number
  readonly i: number
  readonly lse: number
  readonly delta: number
  readonly dO: Float32Array
}

function addRow(
  problem: AttentionProblem,
  data: Data,
  derivatives: Derivatives,
  row: Row,
  result: Float32Gradient,
  defect: GradientDefect | undefined,
): void {
  const { b, h, i, at, lse, delta, dO } = row
  const { keyHeads, keyLength, headDim, valueDim, group, scale, softcap } = problem
  const validKeys = data.lengths?.[b] ?? keyLength
  const position = firstPosition(problem, validKeys) + i
  const { first, end } = visibleKeys(problem, position, validKeys)
  const keyHead = Math.floor(h / group)
  const tile: Tile = { b, h, i, position, keyHead, first, end }
  for (let key = first; key < (defect === 'last key is skipped' ? end - 1 : end); key++) {
    const given = givenScore(problem, data, tile, key, undefined)
    if (given === undefined || given === -Infinity) continue
    const final = data.scoreMod ? f(data.scoreMod(b, h, position, key, i, given)) : given
    const p = weightOf(f(final - lse), defect)
    const keyAt = (b * keyHeads + keyHead) * keyLength + key
    const factor = dropoutFactor(problem, row, key)
    let dWeight = 0
    for (let c = 0; c < valueDim; c++) {
      const g = dO[at * valueDim + c] ?? 0
      dWeight = f(dWeight + f(g * (data.value[keyAt * valueDim + c] ?? 0)))
      add(result.dValue, keyAt * valueDim + c, f(f(p * (defect === 'dropout forgotten in dV' ? 1 : factor)) * g))
    }
    const dropped = defect === 'delta without dropout' ? f(f(dWeight - delta) * factor) : f(f(dWeight * factor) - delta)
    const dFinal = f(p * dropped)
    addCaptured(derivatives, tile, key, given, dFinal, result)
    const slope = derivatives.slope && defect !== 'score slope forgotten' ? f(derivatives.slope(b, h, position, key, i, given)) : 1
    const dScore = f(dFinal * slope)
    addBias(problem, row, key, dScore, result)
    // Without its bias, the score that was given is the capped one.
    const bias = data.bias?.[at * keyLength + key] ?? 0
    const tanh = softcap === 0 ? 0 : f(scoreWithoutBias(problem, data, tile, key, bias, given) / f(softcap))
    const capSlope = defect === 'softcap slope of the score' ? f(1 - f(given * given)) : f(1 - f(tanh * tanh))
    const dScaled = softcap === 0 || defect === 'softcap slope forgotten' ? dScore : f(dScore * capSlope)
    const dProduct = defect === 'scale forgotten' ? dScaled : f(dScaled * f(scale))
    for (let c = 0; c < headDim; c++) {
      add(result.dQuery, at * headDim + c, f(dProduct * (data.key[keyAt * headDim + c] ?? 0)))
      add(result.dKey, keyAt * headDim + c, f(dProduct * (data.query[at * headDim + c] ?? 0)))
    }
  }
}

function scoreWithoutBias(problem: AttentionProblem, data: Data, tile: Tile, key: number, bias: number, given: number): number {
  return bias === 0 ? given : (givenScore({ ...problem, bias: undefined }, { ...data, bias: undefined }, tile, key, undefined) ?? 0)
}

function weightOf(x: number, defect: GradientDefect | undefined): number {
  const p = f(Math.exp(x))
  if (defect === 'exp off by 1e-5') return f(p * (1 + 1e-5 * Math.sin(7 * x)))
  return defect === 'weights in bfloat16' ? f(Math.round(p * 256) / 256) : p
}

function dropoutFactor({ dropout }: AttentionProblem, { b, h, i }: Row, key: number): number {
  if (dropout === undefined) return 1
  return dropoutHash(dropout.seed, b, h, i, key) < dropoutThreshold(dropout) ? 0 : f(1 / (1 - dropout.probability))
}

function addCaptured(
  { reads }: Derivatives,
  { b, h, i, position }: Tile,
  key: number,
  given: number,
  dFinal: number,
  result: Float32Gradient,
): void {
  for (const { tensor, indices, derivative } of reads) {
    const at = indices.map((index) => index(b, h, position, key, i, given))
    const element = at.reduce((sum, index, axis) => sum * (tensor.shape[axis] ?? 1) + index, 0)
    const gradient = result.captured.get(tensor)
    if (gradient) add(gradient, element, f(dFinal * f(derivative(b, h, position, key, i, given))))
  }
}

function addBias({ bias }: AttentionProblem, { b, h, i }: Row, key: number, dScore: number, { dBias }: Float32Gradient): void {
  if (bias === undefined || dBias === undefined) return
  const element = [b, h, i, key].reduce((sum, index, axis) => {
    const own = bias.strides[axis] === 0 ? 1 : (bias.shape[axis] ?? 1)
    return sum * own + (own === 1 ? 0 : index)
  }, 0)
  add(dBias, element, dScore)
}

function add(target: Float32Array, element: number, term: number): void {
  target[element] = f((target[element] ?? 0) + term)
}
