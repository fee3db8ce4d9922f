import { toFloat64, type Bounded, type HostTensor, type Platform } from '@qkv/core'
import * as estimate from '@qkv/core/estimate'
import type { Arithmetic, Estimate } from '@qkv/core/estimate'
import {
  attended,
  boundedOf,
  exactRows,
  linear,
  matrixOf,
  normalised,
  rowsOf,
  type EstimatedRows,
  type Estimates,
} from './estimates.ts'

interface Sizes {
  readonly heads: number
  readonly latentDim: number
  readonly queryLatentDim?: number | undefined
  readonly contentDim: number
  readonly rotaryDim: number
  readonly valueDim: number
}

/**
 * Latent attention from its formulas in float64, with how far float32 kernels may be off: with keys and values spelled out for
 * every head, or with their matrices absorbed. Exactly, both are the same. Rotary turns neighbours, by base 10,000.
 */
export function naiveLatentLayer(
  input: HostTensor,
  sizes: Sizes,
  state: Record<string, HostTensor>,
  { platform = 'cpu', absorbed = false }: { platform?: Platform; absorbed?: boolean } = {},
): Bounded {
  const { heads, latentDim, queryLatentDim, contentDim, rotaryDim, valueDim } = sizes
  const arithmetic = estimate.platforms[platform]
  const project = (name: string, from: EstimatedRows): EstimatedRows => {
    const rows = matrixOf(state[`${name}.weight`]!)
    return from.map((vector) => linear(vector, rows, undefined, arithmetic))
  }
  const withNorm = (name: string, from: EstimatedRows): EstimatedRows => {
    const norm = { kind: 'rms', epsilon: 1e-6, weight: toFloat64(state[`${name}.weight`]!) } as const
    return from.map((vector) => normalised(vector, norm, arithmetic))
  }
  const asked = { causal: true, scale: 1 / Math.sqrt(contentDim + rotaryDim), encodings: [] }

  const turnedAll = (rows: EstimatedRows): EstimatedRows => rows.map((row, position) => turned(row, position, arithmetic))

  const spelledOut = (queries: EstimatedRows, latent: EstimatedRows, sharedKey: EstimatedRows): EstimatedRows => {
    const query = queries.map((row, i) =>
      rowsOf(row, contentDim + rotaryDim).flatMap((own) => [
        ...turned(own.slice(contentDim), i, arithmetic),
        ...own.slice(0, contentDim),
      ]),
    )
    const perHead = project('keyValue', latent).map((row) => rowsOf(row, contentDim + valueDim))
    const key = perHead.map((own, i) => own.flatMap((each) => [...sharedKey[i]!, ...each.slice(0, contentDim)]))
    const value = perHead.map((own) => own.flatMap((each) => each.slice(contentDim)))
    return attended({ query, key, value, heads, kvHeads: heads }, asked, platform)
  }

  const absorbedHeads = (queries: EstimatedRows, latent: EstimatedRows, sharedKey: EstimatedRows): EstimatedRows => {
    const matrices = rowsOf(matrixOf(state['keyValue.weight']!), contentDim + valueDim)
    const query = queries.map((row, i) =>
      rowsOf(row, contentDim + rotaryDim).flatMap((own, head) => {
        const columns = Array.from({ length: latentDim }, (_, c) => matrices[head]!.slice(0, contentDim).map((each) => each[c]!))
        return [
          ...turned(own.slice(contentDim), i, arithmetic),
          ...linear(own.slice(0, contentDim), columns, undefined, arithmetic),
        ]
      }),
    )
    const key = latent.map((row, i) => [...sharedKey[i]!, ...row])
    const sums = attended({ query, key, value: latent, heads, kvHeads: 1 }, asked, platform)
    return sums.map((row) =>
      rowsOf(row, latentDim).flatMap((sum, head) => linear(sum, matrices[head]!.slice(contentDim), undefined, arithmetic)),
    )
  }

  const [batch = 0] = input.shape
  const rows = Array.from({ length: batch }, (_, b) => {
    const x = exactRows(input, b)
    const queries =
      queryLatentDim === undefined ? project('query', x) : project('queryUp', withNorm('queryNorm', project('queryDown', x)))
    const compressed = project('latent', x)
    const latent = withNorm(
      'latentNorm',
      compressed.map((row) => row.slice(0, latentDim)),
    )
    const sharedKey = turnedAll(compressed.map((row) => row.slice(latentDim)))
    return project('output', absorbed ? absorbedHeads(queries, latent, sharedKey) : spelledOut(queries, latent, sharedKey))
  })
  return boundedOf(rows.flat())
}

/** (x, y) → (x cos θ − y sin θ, x sin θ + y cos θ) for the i-th pair of neighbours, where θ = position · 10000^(−2i/dim). */
function turned(vector: Estimates, position: number, arithmetic: Arithmetic): Estimates {
  return rowsOf(vector, 2).flatMap(([x, y], i) => {
    const angle = position * 10000 ** ((-2 * i) / vector.length)
    const [cos, sin, minusSin] = [Math.cos(angle), Math.sin(angle), -Math.sin(angle)].map(estimate.rounded)
    const sum = (a: Estimate, b: Estimate): Estimate =>
      estimate.add(estimate.multiply(x!, a, arithmetic), estimate.multiply(y!, b, arithmetic), arithmetic)
    return [sum(cos!, minusSin!), sum(sin!, cos!)]
  })
}
