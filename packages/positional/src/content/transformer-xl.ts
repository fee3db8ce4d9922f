import { toFloat64, type HostTensor } from '@qkv/core'
import type { ContentGradient, ContentInputs, ContentScore, ContentTerms, TermsGradient } from '../encoding.ts'
import { checkTable, refused } from '../refuse.ts'
import { rotaryFrequencies } from '../rotary/frequencies.ts'
import { contentScore } from './content-score.ts'
import { addScaled, dot, float32Tensor, forEachToken, readVectors, rowOf, startOf, vectors, type Vectors } from './vectors.ts'

export interface TransformerXlOptions {
  /** [heads, headDim], trained: u, added to the query where it meets content. */
  readonly contentBias: HostTensor
  /** [heads, headDim], trained: v, added to the query where it meets positions. */
  readonly positionBias: HostTensor
  /** [heads, headDim, modelDim], trained: W, which turns sinusoids of a distance into a key. */
  readonly projection: HostTensor
  /** Of the sinusoids. Default 10000. */
  readonly base?: number | undefined
}

/**
 * Transformer-XL's scores: the query meets each key, and a projected sinusoid of its distance,
 *
 *     scale · ((q + u)·k + (q + v)·W r(query − key)),   r(n) = (sin θ₁n, …, cos θ₁n, …),   θₘ = base^(−2m/modelDim).
 *
 * With g = Wᵀ(q + v), the second product is Σ gₛ·sin θ(i − j) + g꜀·cos θ(i − j), a sum over frequencies in which i and j
 * part as in rotary: turned by its own position, g becomes modelDim more elements of the query, and the sinusoids of the
 * key's position as many of the key. So attention over longer vectors gives these scores exactly, without a table of all
 * pairs. Dai et al. 2019, arXiv:1901.02860; XLNet, Conformer.
 */
export function transformerXl(options: TransformerXlOptions): ContentScore {
  const [heads = 0, headDim = 0] = checkTable('transformerXl', 'contentBias', options.contentBias, ['heads', 'headDim'])
  checkTable('transformerXl', 'positionBias', options.positionBias, [heads, headDim])
  const { projection } = options
  const [, , modelDim = 0] = checkTable('transformerXl', 'projection', projection, [heads, headDim, 'modelDim'])
  if (modelDim % 2 !== 0) throw refused('transformerXl', 'projection', 'to an even modelDim', modelDim)
  const frequencies = rotaryFrequencies(modelDim, options.base, 'transformerXl')
  const parameters = [options.contentBias, options.positionBias, projection] as const
  return contentScore('transformerXl', { headDim, heads }, parameters, (inputs) => {
    const [u, v, w] = [toFloat64(parameters[0]), toFloat64(parameters[1]), toFloat64(parameters[2])]
    return terms(inputs, { frequencies, headDim, modelDim, u, v, w })
  })
}

/** The encoding as numbers: u and v [heads, headDim], W [heads, headDim, modelDim], θ [modelDim / 2]. */
interface Weights {
  readonly headDim: number
  readonly modelDim: number
  readonly frequencies: Float64Array
  readonly u: Float64Array
  readonly v: Float64Array
  readonly w: Float64Array
}

function terms(inputs: ContentInputs, weights: Weights): ContentTerms {
  const [q, k] = [readVectors(inputs.query), readVectors(inputs.key)]
  const start = (batch: number): number => startOf(inputs, batch)
  const [longQuery, longKey] = [longQueries(q, start, weights), longKeys(k, weights)]
  return {
    query: float32Tensor(longQuery.values, longQuery.shape),
    key: float32Tensor(longKey.values, longKey.shape),
    scoreMod: undefined,
    captured: [],
    backward: (gradient) => backward(q, k, start, gradient, weights),
  }
}

/** q + u, and then g turned by the query's position. */
function longQueries(q: Vectors, start: (batch: number) => number, { headDim, modelDim, frequencies, u, v, w }: Weights): Vectors {
  const long = vectors([...q.shape.slice(0, 3), headDim + modelDim])
  forEachToken(q, (b, h, i) => {
    const target = long.at(b, h, i)
    const g = new Float64Array(modelDim)
    q.at(b, h, i).forEach((element, c) => {
      const at = h * headDim + c
      target[c] = element + u[at]!
      addScaled(g, element + v[at]!, rowOf(w, at, modelDim))
    })
    turn(g, frequencies, start(b) + i, 1, target.subarray(headDim))
  })
  return long
}

/** k, and then cosines and sines of the key's position. */
function longKeys(k: Vectors, { headDim, modelDim, frequencies }: Weights): Vectors {
  const long = vectors([...k.shape.slice(0, 3), headDim + modelDim])
  forEachToken(k, (b, h, j) => {
    const target = long.at(b, h, j)
    target.set(k.at(b, h, j))
    frequencies.forEach((theta, m) => {
      target[headDim + m] = Math.cos(theta * j)
      target[headDim + modelDim / 2 + m] = Math.sin(theta * j)
    })
  })
  return long
}

function backward(
  q: Vectors,
  k: Vectors,
  start: (batch: number) => number,
  gradient: TermsGradient,
  weights: Weights,
): ContentGradient {
  const { headDim, modelDim, frequencies, u, v, w } = weights
  const [dLongQuery, dLongKey] = [readVectors(gradient.dQuery), readVectors(gradient.dKey)]
  const [dQuery, dKey] = [vectors(q.shape), vectors(k.shape)]
  const [du, dv, dw] = [new Float64Array(u.length), new Float64Array(v.length), new Float64Array(w.length)]
  forEachToken(q, (b, h, i) => {
    const dLong = dLongQuery.at(b, h, i)
    const dg = new Float64Array(modelDim)
    turn(dLong.subarray(headDim), frequencies, start(b) + i, -1, dg)
    q.at(b, h, i).forEach((element, c) => {
      const at = h * headDim + c
      const dPosition = dot(dg, rowOf(w, at, modelDim))
      dQuery.at(b, h, i)[c] = dLong[c]! + dPosition
      du[at]! += dLong[c]!
      dv[at]! += dPosition
      addScaled(rowOf(dw, at, modelDim), element + v[at]!, dg)
    })
  })
  forEachToken(k, (b, h, j) => dKey.at(b, h, j).set(dLongKey.at(b, h, j).subarray(0, headDim)))
  const heads = u.length / headDim
  return {
    dQuery: float32Tensor(dQuery.values, q.shape),
    dKey: float32Tensor(dKey.values, k.shape),
    parameters: [
      float32Tensor(du, [heads, headDim]),
      float32Tensor(dv, [heads, headDim]),
      float32Tensor(dw, [heads, headDim, modelDim]),
    ],
  }
}

/**
 * Writes what meets (cos θj, sin θj) for gₛ·sin θ(i − j) + g꜀·cos θ(i − j), where g holds the gₛ and then the g꜀: a turn of
 * each pair, which direction −1 takes back.
 */
function turn(g: Float64Array, frequencies: Float64Array, i: number, direction: 1 | -1, target: Float64Array): void {
  const half = frequencies.length
  frequencies.forEach((theta, m) => {
    const [sine, cosine] = [Math.sin(theta * i), direction * Math.cos(theta * i)]
    target[m] = g[m]! * sine + g[half + m]! * cosine
    target[half + m] = g[half + m]! * sine - g[m]! * cosine
  })
}
