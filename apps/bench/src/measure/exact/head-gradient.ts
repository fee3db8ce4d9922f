import { keysOfRow, type AttentionCase } from '../../cases/case.ts'
import { attentionVectors } from '../../cases/vectors.ts'

/** Exact values, and how far a correct float32 kernel's may be from each. */
export interface Bounded {
  readonly values: Float64Array
  readonly bound: Float64Array
}

/**
 * The gradients of the last head of a case without groups, in float64 and by the formulas: with weights P = softmax(S),
 *
 *     dV = Pᵀ·dO     dP = dO·Vᵀ     δ = rowsum(P ∘ dP)     dS = P ∘ (dP − δ)     dQ = scale·dS·K     dK = scale·dSᵀ·Q
 *
 * The bounds are those lines' running error analysis, for a kernel that recomputes P = exp(S − lse) and takes δ from the
 * forward's output. Core's `referenceGradient` derives the same more tightly and for every option, but needs a quarter of
 * a minute for a head of a thousand tokens; a test holds the two to each other.
 */
export function headGradient(bench: AttentionCase): { dQuery: Bounded; dKey: Bounded; dValue: Bounded } {
  const { queryLength, keyLength, headDim, valueDim } = bench
  const { query, key, value, dOutput = new Float32Array() } = attentionVectors(bench)
  const q = query.subarray(-queryLength * headDim)
  const k = key.subarray(-keyLength * headDim)
  const v = value.subarray(-keyLength * valueDim)
  const dO = dOutput.subarray(-queryLength * valueDim)
  const scale = 1 / Math.sqrt(headDim)
  const dQuery = zeros(q.length)
  const dKey = zeros(k.length)
  const dValue = zeros(v.length)
  const row = new RowOfWeights(keyLength, valueDim)
  for (let i = 0; i < queryLength; i++) {
    const { first, end } = keysOfRow(bench, i)
    for (let j = first; j < end; j++) row.score(j, scale, product(q, i, k, j, headDim), headDim)
    row.normalise(first, end)
    const { delta, deltaError } = row.delta(dO, i, v, first, end)
    const summed = rounding(Math.max(queryLength, keyLength) + 2)
    for (let j = first; j < end; j++) {
      const p = row.weights[j]!
      const pError = row.weightErrors[j]!
      const dP = product(dO, i, v, j, valueDim)
      const difference = dP.value - delta
      const differenceError = rounding(valueDim + 1) * dP.size + deltaError + unit * Math.abs(difference)
      const dS = scale * p * difference
      const dSError = scale * (p * differenceError + pError * (Math.abs(difference) + differenceError)) + 4 * unit * Math.abs(dS)
      addScaled(dQuery, i, dS, dSError, k, j, headDim, summed)
      addScaled(dKey, j, dS, dSError, q, i, headDim, summed)
      addScaled(dValue, j, p, pError, dO, i, valueDim, summed)
    }
  }
  return { dQuery, dKey, dValue }
}

/** Half the distance from 1 to the next float32: what rounding costs. And exp's own error, one unit in the last place. */
const unit = 2 ** -24
const exp = 2 ** -23

/** γ(n), what n roundings come to: Higham, Accuracy and Stability of Numerical Algorithms, 2002, §3.1. */
function rounding(count: number): number {
  return (count * unit) / (1 - count * unit)
}

/** One query's scores and weights, each with the error that a kernel may make. */
class RowOfWeights {
  readonly weights: Float64Array
  readonly weightErrors: Float64Array
  readonly #scores: Float64Array
  readonly #scoreErrors: Float64Array
  readonly #output: Float64Array
  readonly #magnitude: Float64Array
  /** Largest relative error of an unnormalised weight, and of their sums. */
  #exponent = 0
  #summation = 0

  constructor(keys: number, valueDim: number) {
    this.weights = new Float64Array(keys)
    this.weightErrors = new Float64Array(keys)
    this.#scores = new Float64Array(keys)
    this.#scoreErrors = new Float64Array(keys)
    this.#output = new Float64Array(valueDim)
    this.#magnitude = new Float64Array(valueDim)
  }

  score(j: number, scale: number, { value, size }: Product, headDim: number): void {
    this.#scores[j] = scale * value
    this.#scoreErrors[j] = scale * rounding(headDim + 2) * size
  }

  /**
   * Weights of the keys `first ≤ j < end`. Online softmax rescales once a tile of 16 keys at most; the errors of the lse and of
   * each score move the logarithm of a weight.
   */
  normalise(first: number, end: number): void {
    const maximum = this.#scores.subarray(first, end).reduce((highest, score) => Math.max(highest, score), -Infinity)
    const rescales = Math.ceil((end - first) / 16) + 2
    let sum = 0
    this.#exponent = 0
    for (let j = first; j < end; j++) {
      const score = this.#scores[j]!
      sum += Math.exp(score - maximum)
      const error = this.#scoreErrors[j]! + 2 * unit * Math.abs(score) + rescales * exp + unit * (maximum - score)
      this.#exponent = Math.max(this.#exponent, error)
    }
    const lse = maximum + Math.log(sum)
    this.#summation = rounding(end - first + rescales + 2)
    const lseError = this.#exponent + this.#summation + 4 * exp + 3 * unit * Math.abs(maximum) + 8 * unit * Math.log(sum)
    for (let j = first; j < end; j++) {
      const score = this.#scores[j]!
      const logarithm =
        this.#scoreErrors[j]! + lseError + 4 * unit * (Math.abs(score) + Math.abs(lse)) + exp + unit * Math.abs(score - lse)
      this.weights[j] = Math.exp(score - lse)
      this.weightErrors[j] = this.weights[j]! * Math.expm1(logarithm)
    }
  }

  /** δ = dO · output, the output being off by what the weights and its sums are. */
  delta(dO: Float32Array, i: number, v: Float32Array, first: number, end: number): { delta: number; deltaError: number } {
    const dim = this.#output.length
    this.#output.fill(0)
    this.#magnitude.fill(0)
    for (let j = first; j < end; j++) {
      const p = this.weights[j]!
      for (let c = 0; c < dim; c++) {
        const share = p * v[j * dim + c]!
        this.#output[c]! += share
        this.#magnitude[c]! += Math.abs(share)
      }
    }
    const relative = Math.exp(2 * this.#exponent) * this.#exponent + this.#summation + 2 * unit
    let delta = 0
    let deltaError = 0
    for (let c = 0; c < dim; c++) {
      const factor = dO[i * dim + c]!
      const product = factor * this.#output[c]!
      delta += product
      deltaError +=
        1.01 * relative * Math.abs(factor) * (this.#magnitude[c]! + Math.abs(this.#output[c]!)) +
        rounding(dim + 1) * Math.abs(product)
    }
    return { delta, deltaError }
  }
}

/** A sum of products, and what its terms come to without their signs. */
interface Product {
  readonly value: number
  readonly size: number
}

/** Vector `i` of `a` times vector `j` of `b`. */
function product(a: Float32Array, i: number, b: Float32Array, j: number, dim: number): Product {
  let value = 0
  let size = 0
  for (let c = 0; c < dim; c++) {
    const term = a[i * dim + c]! * b[j * dim + c]!
    value += term
    size += Math.abs(term)
  }
  return { value, size }
}

/** Takes `factor` · vector `from` of `source` into vector `to`; `summed` is the relative error of the whole sum. */
function addScaled(
  { values, bound }: Bounded,
  to: number,
  factor: number,
  factorError: number,
  source: Float32Array,
  from: number,
  dim: number,
  summed: number,
): void {
  const size = factorError + summed * (Math.abs(factor) + factorError)
  for (let c = 0; c < dim; c++) {
    const element = source[from * dim + c]!
    values[to * dim + c]! += factor * element
    bound[to * dim + c]! += size * Math.abs(element)
  }
}

function zeros(count: number): Bounded {
  return { values: new Float64Array(count), bound: new Float64Array(count) }
}
