import { keysOfRow, type AttentionCase } from '../cases/case.ts'
import { attentionVectors } from '../cases/vectors.ts'

/** Exact values, and for each the size of what was summed up to it, times a float32's precision: about what a kernel may be off. */
export interface Sums {
  readonly values: Float64Array
  readonly bounds: Float64Array
}

/**
 * The gradients of the last head of a case without groups, in float64 and by the formulas: with weights P = softmax(S),
 * dV = Pᵀ·dO, dP = dO·Vᵀ, dS = P ∘ (dP − rowsum(P ∘ dP)), dQ = scale·dS·K and dK = scale·dSᵀ·Q.
 *
 * Core's `referenceGradient` says the same with proven bounds, but too slowly for a case of a thousand tokens.
 */
export function headGradient(bench: AttentionCase): { dQuery: Sums; dKey: Sums; dValue: Sums } {
  const { queryLength, keyLength, headDim, valueDim } = bench
  const { query, key, value, dOutput = new Float32Array() } = attentionVectors(bench)
  const q = query.subarray(-queryLength * headDim)
  const k = key.subarray(-keyLength * headDim)
  const v = value.subarray(-keyLength * valueDim)
  const dO = dOutput.subarray(-queryLength * valueDim)
  const scale = 1 / Math.sqrt(headDim)
  const dQuery = sums(q.length)
  const dKey = sums(k.length)
  const dValue = sums(v.length)
  const p = new Float64Array(keyLength)
  const dP = new Float64Array(keyLength)
  for (let i = 0; i < queryLength; i++) {
    const { first, end } = keysOfRow(bench, i)
    for (let j = first; j < end; j++) {
      p[j] = scale * dot(q, i * headDim, k, j * headDim, headDim)
      dP[j] = dot(dO, i * valueDim, v, j * valueDim, valueDim)
    }
    const delta = softmaxInPlace(p, dP, first, end)
    for (let j = first; j < end; j++) {
      const weight = p[j]!
      const dS = scale * weight * (dP[j]! - delta)
      addScaled(dQuery, i, dS, k, j, headDim)
      addScaled(dKey, j, dS, q, i, headDim)
      addScaled(dValue, j, weight, dO, i, valueDim)
    }
  }
  return { dQuery, dKey, dValue }
}

/** Makes weights of the scores `first ≤ j < end`; returns Σ weight · dP. */
function softmaxInPlace(scores: Float64Array, dP: Float64Array, first: number, end: number): number {
  const maximum = scores.subarray(first, end).reduce((highest, score) => Math.max(highest, score), -Infinity)
  let sum = 0
  for (let j = first; j < end; j++) sum += scores[j] = Math.exp(scores[j]! - maximum)
  let delta = 0
  for (let j = first; j < end; j++) delta += (scores[j] = scores[j]! / sum) * dP[j]!
  return delta
}

function dot(a: Float32Array, from: number, b: Float32Array, start: number, count: number): number {
  let sum = 0
  for (let c = 0; c < count; c++) sum += a[from + c]! * b[start + c]!
  return sum
}

/** Takes `factor` · row `from` of `source` into row `to`; a few roundings for each of its products count towards the bound. */
function addScaled({ values, bounds }: Sums, to: number, factor: number, source: Float32Array, from: number, dim: number): void {
  for (let c = 0; c < dim; c++) {
    const product = factor * source[from * dim + c]!
    values[to * dim + c]! += product
    bounds[to * dim + c]! += 64 * 2 ** -24 * Math.abs(product)
  }
}

function sums(count: number): Sums {
  return { values: new Float64Array(count), bounds: new Float64Array(count) }
}
