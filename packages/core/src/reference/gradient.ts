import { toFloat64 } from '../convert.ts'
import { isFloat, type Dtype } from '../dtype.ts'
import type { AttentionProblem } from '../problem.ts'
import { refusal } from '../refusal.ts'
import { checkTensor, type HostTensor, type Tensor } from '../tensor.ts'
import type { ReferenceOptions } from './attention.ts'
import type { SoftmaxTerm } from './error-bound.ts'
import { divide, exact, multiply, rounded, subtract, underflow, type Arithmetic, type Estimate } from '../estimate.ts'
import type { PairEstimate } from './expression-estimate.ts'
import { gradientSums, type CapturedRead, type GradientSums } from './gradient-sums.ts'
import { decodeInputs, flushed, onHost, type Inputs } from './inputs.ts'
import { attendRow, type Row } from './row.ts'
import { keyVector, queryVector, type PairScore } from './scores.ts'
import type { Bounded, Sums } from './sums.ts'

export type { Bounded } from './sums.ts'

/** Gradients of Σ dOutput · output. */
export interface ReferenceGradient {
  /** In the shapes of query, key and value. */
  readonly dQuery: Bounded
  readonly dKey: Bounded
  readonly dValue: Bounded
  /** In the bias's own axes, size 1 where it is broadcast: [1 or batch, 1 or queryHeads, 1 or queryLength, 1 or keyLength]. */
  readonly dBias: Bounded | undefined
  /** [queryHeads] */
  readonly dSinks: Bounded | undefined
  /** For each captured float tensor of the score expression, in its shape. */
  readonly captured: ReadonlyMap<HostTensor, Bounded>
}

/**
 * The gradient of attention in float64, with a componentwise bound for a float32 kernel. With weights p, output o and
 * dropout factors f, for each query row:
 *
 *     dp_j = f_j Σ_c dO_c v_jc        δ = Σ_c dO_c o_c        ds_j = p_j (dp_j − δ)
 *     dV_j += p_j f_j dO              the sink's: −p δ
 *     ds_j passes through the score expression, to the bias, and through softcap: times 1 − tanh²
 *     dQ += scale · ds_j k_j          dK_j += scale · ds_j q
 *
 * The bound is running error analysis of just these lines (see `estimate.ts`), for a kernel that keeps no weights but
 * recomputes p_j = exp(s_j − lse) from the forward's lse and takes o from its output: their bounds enter as errors of
 * lse and o. The score's and the lse's errors move log p_j; what is summed over keys or rows gains γ(n) of its magnitude.
 *
 * @param dOutput [batch, queryHeads, queryLength, valueDim], a float dtype
 * @throws QkvError naming a tensor that is not in host memory, quantised keys (which have no gradient), or `dOutput`;
 * `EXPRESSION_REJECTED` where an expression may read outside a captured tensor.
 */
export function referenceGradient(
  problem: AttentionProblem,
  dOutput: HostTensor,
  options: Pick<ReferenceOptions, 'backend'> = {},
): ReferenceGradient {
  const inputs = decodeInputs(operation, problem, options.backend)
  const gradient = checkGradient(problem, dOutput)
  const sums = gradientSums(inputs)
  for (let b = 0; b < problem.batch; b++) {
    for (let h = 0; h < problem.queryHeads; h++) {
      for (let i = 0; i < problem.queryLength; i++) addRow(inputs, gradient, sums, b, h, i)
    }
  }
  const finish = (sum: Sums): Bounded => sum.finish(inputs.arithmetic)
  return {
    dQuery: finish(sums.query),
    dKey: finish(sums.key),
    dValue: finish(sums.value),
    dBias: sums.bias && finish(sums.bias.sums),
    dSinks: sums.sinks && finish(sums.sinks),
    captured: new Map(sums.captured.map(({ tensor, sums }) => [tensor, finish(sums)])),
  }
}

const operation = 'referenceGradient'

/** The gradient of the output, row-major, and what it was stored as. */
interface OutputGradient {
  readonly elements: Float64Array
  readonly dtype: Dtype
}

function checkGradient(problem: AttentionProblem, dOutput: Tensor): OutputGradient {
  const { batch, queryHeads, queryLength, valueDim, key, keyScales } = problem
  if (keyScales !== undefined)
    throw refusal('DTYPE_UNSUPPORTED', operation, 'key', 'of a float dtype, as quantised keys have no gradient', key.dtype)
  checkTensor(operation, 'dOutput', dOutput)
  if (!isFloat(dOutput.dtype)) throw refusal('DTYPE_UNSUPPORTED', operation, 'dOutput', 'of a float dtype', dOutput.dtype)
  const shape = [batch, queryHeads, queryLength, valueDim]
  if (dOutput.shape.length !== 4 || shape.some((size, axis) => size !== dOutput.shape[axis])) {
    throw refusal('SHAPE_MISMATCH', operation, 'dOutput', `[${shape.join(',')}], as the output is`, `[${dOutput.shape.join(',')}]`)
  }
  return { elements: toFloat64(onHost(operation, 'dOutput', dOutput)), dtype: dOutput.dtype }
}

function addRow(inputs: Inputs, dOutput: OutputGradient, sums: GradientSums, b: number, h: number, i: number): void {
  const { problem, arithmetic } = inputs
  const row = attendRow(inputs, b, h, i)
  const at = queryVector(inputs, b, h, i)
  const dO = exactVector(dOutput.elements, at, problem.valueDim, dOutput.dtype, inputs)
  const delta = dot(dO, { value: row.output, error: row.bound }, arithmetic)
  row.seen.forEach((score, term) => {
    const weight = recomputedWeight(row.terms[term]!, row, arithmetic)
    addPair(inputs, sums, score, weight, dO, delta, at)
  })
  const sink = row.terms[row.seen.length]
  if (sink && sums.sinks) {
    const weight = recomputedWeight(sink, row, arithmetic)
    sums.sinks.add(h, multiply(weight, { value: -delta.value, error: delta.error }, arithmetic))
  }
}

function addPair(
  inputs: Inputs,
  sums: GradientSums,
  score: PairScore,
  weight: Estimate,
  dO: Vector,
  delta: Estimate,
  queryAt: number,
): void {
  const { problem, arithmetic, dropout } = inputs
  const { headDim, valueDim, query, key, value } = problem
  const { batch, head, row, key: j } = score.pair
  const keyAt = keyVector(inputs, batch, head, j)
  // Any product on the way may fall below the normal range, and be flushed before the next makes it large again.
  const times = (a: Estimate, b: Estimate): Estimate => {
    const product = multiply(a, b, arithmetic)
    return { value: product.value, error: product.error + underflow }
  }
  const factor = dropout && rounded(dropout(batch, head, row, j))
  const dropped = (estimate: Estimate): Estimate => (factor ? times(estimate, factor) : estimate)

  const v = exactVector(inputs.value, keyAt, valueDim, value.dtype, inputs)
  const dWeight = dropped(dot(dO, v, arithmetic))
  const dFinal = times(weight, subtract(dWeight, delta, arithmetic))
  sums.reads.forEach((read) => addCaptured(read, score.pair, dFinal, arithmetic))
  const dScore = sums.slope ? times(dFinal, sums.slope(score.pair)) : dFinal
  if (sums.bias) {
    const [byBatch = 0, byHead = 0, byRow = 0, byKey = 0] = sums.bias.strides
    sums.bias.sums.add(batch * byBatch + head * byHead + row * byRow + j * byKey, dScore)
  }
  const dScaled = problem.softcap === 0 ? dScore : times(dScore, softcapSlope(score, problem.softcap, arithmetic))
  const dProduct = times(dScaled, rounded(problem.scale))

  addScaled(sums.value, keyAt * valueDim, dropped(weight), dO, arithmetic)
  addScaled(sums.query, queryAt * headDim, dProduct, exactVector(inputs.key, keyAt, headDim, key.dtype, inputs), arithmetic)
  addScaled(sums.key, keyAt * headDim, dProduct, exactVector(inputs.query, queryAt, headDim, query.dtype, inputs), arithmetic)
}

function addCaptured(
  { into, indices, strides, derivative }: CapturedRead,
  pair: PairEstimate,
  dFinal: Estimate,
  arithmetic: Arithmetic,
): void {
  const at = indices.map((index) => index(pair))
  if (at.some(({ error }) => error > 0)) into.sums.giveUp()
  const element = at.reduce((sum, { value }, axis) => sum + value * (strides[axis] ?? 0), 0)
  into.sums.add(element, multiply(dFinal, derivative(pair), arithmetic))
}

/** d/dx of softcap · tanh(x / softcap) is 1 − tanh², from the capped score. */
function softcapSlope({ capped }: PairScore, softcap: number, arithmetic: Arithmetic): Estimate {
  const tanh = divide(capped, rounded(softcap), arithmetic)
  return subtract(exact(1), multiply(tanh, tanh, arithmetic), arithmetic)
}

/**
 * p = exp(s − lse): errors of the score, of the lse and of their difference (perhaps to base 2) move its logarithm, and
 * exp adds its own. Where they may move it far, p is anything up to the greatest that they allow.
 */
function recomputedWeight({ score, error, weight }: SoftmaxTerm, { lse, lseBound }: Row, arithmetic: Arithmetic): Estimate {
  const { unit, exp, expSlope } = arithmetic
  const logarithm = error + lseBound + 4 * unit * (Math.abs(score) + Math.abs(lse)) + exp + expSlope * Math.abs(score - lse)
  const moved = logarithm < 1 ? weight * Math.expm1(logarithm) : Math.exp(score - lse + logarithm)
  return { value: weight, error: moved + underflow }
}

/** Components, each with its error. */
interface Vector {
  readonly value: Float64Array
  readonly error: Float64Array
}

/** Vector `at` of an input: exact, but for what a GPU flushes to zero. */
function exactVector(data: Float64Array, at: number, dim: number, dtype: Dtype, { platform }: Inputs): Vector {
  const value = data.subarray(at * dim, (at + 1) * dim)
  return { value, error: value.map((component) => flushed(component, dtype, platform)) }
}

function dot(a: Vector, b: Vector, { unit }: Arithmetic): Estimate {
  let sum = 0
  let error = 0
  let magnitude = 0
  a.value.forEach((x, c) => {
    const y = b.value[c] ?? NaN
    const [xError, yError] = [a.error[c] ?? 0, b.error[c] ?? 0]
    sum += x * y
    magnitude += Math.abs(x * y)
    error += Math.abs(x) * yError + xError * (Math.abs(y) + yError)
  })
  return { value: sum, error: error + (a.value.length + 1) * unit * (magnitude + error) + underflow }
}

/** Adds factor · vector to consecutive sums. */
function addScaled(sums: Sums, first: number, factor: Estimate, vector: Vector, arithmetic: Arithmetic): void {
  vector.value.forEach((value, c) => sums.add(first + c, multiply(factor, { value, error: vector.error[c] ?? 0 }, arithmetic)))
}
