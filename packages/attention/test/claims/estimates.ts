import {
  composeScores,
  problem,
  tensor,
  toFloat64,
  type Bounded,
  type HostTensor,
  type Platform,
  type ProblemOptions,
} from '@qkv/core'
import * as estimate from '@qkv/core/estimate'
import type { Arithmetic, Estimate } from '@qkv/core/estimate'
import { reference } from '@qkv/core/reference'
import type { RotaryEncoding, ScoreEncoding } from '@qkv/positional'
import { expectWithinBound } from '@qkv/testing'
import { expect } from 'vitest'
import type { Subject } from './subject.ts'

/**
 * A layer in float64, each number with how far float32 kernels may be off from it: what one step leaves is passed on by the
 * next, which adds its own roundings (Higham, Accuracy and Stability of Numerical Algorithms, 2002, §3.3).
 */
export type Estimates = readonly Estimate[]

/** One vector a row. */
export type EstimatedRows = readonly Estimates[]

export function exactRows(view: HostTensor, batch = 0): EstimatedRows {
  const [, length = 0, dim = 0] = view.shape
  return rowsOf([...toFloat64(view)].map(estimate.exact), dim).slice(batch * length, (batch + 1) * length)
}

export function matrixOf(view: HostTensor): readonly number[][] {
  return rowsOf([...toFloat64(view)], view.shape[1] ?? 1)
}

/** rows · vector + bias, summed in any order. */
export function linear(
  vector: Estimates,
  rows: readonly (readonly number[])[],
  bias: ArrayLike<number> | undefined,
  arithmetic: Arithmetic,
): Estimates {
  return rows.map((row, o) => {
    const added = bias?.[o] ?? 0
    let [value, error, size] = [added, 0, Math.abs(added)]
    row.forEach((weight, c) => {
      value += weight * vector[c]!.value
      error += Math.abs(weight) * vector[c]!.error
      size += Math.abs(weight * vector[c]!.value)
    })
    return { value, error: error + estimate.accumulated(row.length + 2, arithmetic) * (size + error) }
  })
}

export interface Norm {
  readonly kind: 'rms' | 'layer'
  readonly epsilon: number
  readonly weight: ArrayLike<number>
  readonly bias?: ArrayLike<number> | undefined
}

/** (x − μ) / √(mean (x − μ)² + ε) · weight + bias, where μ is 0 in an rms norm. */
export function normalised(vector: Estimates, { kind, epsilon, weight, bias }: Norm, arithmetic: Arithmetic): Estimates {
  const mean = (of: Estimates): Estimate => linear(of, [of.map(() => 1 / of.length)], undefined, arithmetic)[0]!
  const centre = mean(vector)
  const centred = kind === 'layer' ? vector.map((x) => estimate.subtract(x, centre, arithmetic)) : vector
  const variance = mean(centred.map((x) => estimate.multiply(x, x, arithmetic)))
  // The root's relative error is half that of what is under it, and it is rounded; a GPU's root is off by a few units.
  const under = variance.value + epsilon
  const root = { value: Math.sqrt(under), error: Math.sqrt(under) * (variance.error / under + 4 * arithmetic.divide) }
  return centred.map((x, c) => {
    const scaled = estimate.multiply(estimate.divide(x, root, arithmetic), estimate.exact(weight[c]!), arithmetic)
    return bias ? estimate.add(scaled, estimate.exact(bias[c]!), arithmetic) : scaled
  })
}

/** e^gate / (e^gate + e^0), as merging two parts of attention comes to it. */
export function sigmoid(gate: Estimate, arithmetic: Arithmetic): Estimate {
  const highest = estimate.exact(Math.max(0, gate.value))
  const under = (x: Estimate): Estimate => estimate.exp(estimate.subtract(x, highest, arithmetic), arithmetic)
  const sum = estimate.add(under(gate), under(estimate.exact(0)), arithmetic)
  const lse = estimate.add(estimate.log(sum, arithmetic), highest, arithmetic)
  return estimate.exp(estimate.subtract(gate, lse, arithmetic), arithmetic)
}

/** Of one batch entry: [length][heads·dim]. */
export interface EstimatedHeads {
  readonly query: EstimatedRows
  readonly key: EstimatedRows
  readonly value: EstimatedRows
  readonly heads: number
  readonly kvHeads: number
}

export interface AttendingOptions extends Pick<ProblemOptions, 'scale' | 'softcap' | 'sinks' | 'causal' | 'window' | 'mask'> {
  readonly encodings: readonly (RotaryEncoding | ScoreEncoding)[]
}

/**
 * Attention over vectors that are not exact. The reference answers for vectors of float32 numbers near them, with its bound for
 * the kernel; what the vectors' own errors do comes on top. Scores move by d_j ≤ scale·Σ(|δq||k| + |q||δk| + |δq||δk|), which a
 * softcap only makes smaller, and the output by e^(2 max d)·Σ p_j (|v_j − o| d_j + |δv_j|), as in the reference's own bound.
 *
 * @returns [queries][heads·valueDim]
 */
export function attended(
  { query, key, value, heads, kvHeads }: EstimatedHeads,
  { encodings, ...options }: AttendingOptions,
  platform: Platform,
): EstimatedRows {
  const arithmetic = estimate.platforms[platform]
  const turned = (rows: EstimatedRows, role: 'query' | 'key', count: number): EstimatedRows =>
    encodings.reduce<EstimatedRows>(
      (vectors, encoding) => (encoding.kind === 'rotary' ? rotated(vectors, encoding, role, count, arithmetic) : vectors),
      rows,
    )
  const scores = encodings.flatMap((each) => (each.kind === 'score' && each.follows === 'positions' ? [each.scoreMod] : []))
  const q = stored(turned(query, 'query', heads), heads)
  const k = stored(turned(key, 'key', kvHeads), kvHeads)
  const v = stored(value, kvHeads)
  const asked = problem(q.tensor, k.tensor, v.tensor, {
    ...options,
    score: scores.length > 0 ? composeScores(...scores) : undefined,
  })
  const { output, bound, weights } = reference(asked, { backend: platform, weights: true })

  const [queries, keys] = [query.length, key.length]
  return query.map((_, i) =>
    Array.from({ length: heads * v.dim }, (_, column): Estimate => {
      const [h, c] = [Math.floor(column / v.dim), column % v.dim]
      const kv = Math.floor(h / (heads / kvHeads))
      const at = (h * queries + i) * v.dim + c
      const p = weights!.subarray((h * queries + i) * keys, (h * queries + i + 1) * keys)
      const moves = Array.from(p, (weight, j) => (weight === 0 ? 0 : Math.abs(asked.scale) * scoreError(q.at(h, i), k.at(kv, j))))
      let moved = 0
      p.forEach((weight, j) => {
        const element = v.at(kv, j)[c]!
        moved += weight * (Math.abs(element.value - output[at]!) * moves[j]! + element.error)
      })
      return { value: output[at]!, error: 1.01 * (bound[at]! + Math.exp(2 * Math.max(...moves)) * moved) }
    }),
  )
}

function scoreError(q: Estimates, k: Estimates): number {
  return q.reduce((sum, { value, error }, c) => {
    const other = k[c]!
    return sum + error * Math.abs(other.value) + Math.abs(value) * other.error + error * other.error
  }, 0)
}

/** [length][heads·dim] as float32 [1, heads, length, dim], and what each element may be off from that. */
function stored(rows: EstimatedRows, heads: number) {
  const width = rows[0]?.length ?? 0
  const dim = width / heads
  const nearest = rows.map((row) =>
    row.map(({ value, error }): Estimate => {
      const float = Math.fround(value)
      return { value: float, error: error + Math.abs(value - float) }
    }),
  )
  const data = Float32Array.from(nearest.flat(), ({ value }) => value)
  return {
    dim,
    tensor: tensor(data, [1, heads, rows.length, dim], { strides: [0, dim, width, 1] }),
    at: (head: number, row: number): Estimates => nearest[row]!.slice(head * dim, (head + 1) * dim),
  }
}

/** Each head's leading elements rotated, as by a table of float32 numbers. */
function rotated(
  rows: EstimatedRows,
  encoding: RotaryEncoding,
  role: 'query' | 'key',
  heads: number,
  arithmetic: Arithmetic,
): EstimatedRows {
  const table = encoding.table({ start: 0, length: rows.length }, role, rows.length)
  const pairs = table.dim / 2
  const [cos, sin] = [table.cos, table.sin].map((part) => rowsOf([...toFloat64(part as HostTensor)], pairs))
  return rows.map((row, position) =>
    rowsOf(row, row.length / heads).flatMap((vector) => {
      const turned = [...vector]
      for (let pair = 0; pair < pairs; pair++) {
        const [first, second] = table.layout === 'half' ? [pair, pair + pairs] : [2 * pair, 2 * pair + 1]
        const [c, s] = [cos![position]![pair]!, sin![position]![pair]!]
        const [x, y] = [vector[first]!, vector[second]!]
        turned[first] = linear([x, y], [[c, -s]], undefined, arithmetic)[0]!
        turned[second] = linear([x, y], [[s, c]], undefined, arithmetic)[0]!
      }
      return turned
    }),
  )
}

/** Values and bounds apart, row-major. */
export function boundedOf(rows: EstimatedRows): Bounded {
  const all = rows.flat()
  return { values: Float64Array.from(all, ({ value }) => value), bound: Float64Array.from(all, ({ error }) => error) }
}

/**
 * Compares what a layer gave, [rows][dim], with its estimates. A bound allows for all roundings on the way to err to the same
 * side. Those of a layer are hundreds, and hardly ever do (0.03 of the bound is the most that was seen): a tenth of it has to do.
 */
export function expectEstimated({ platform }: Subject, actual: ArrayLike<number>, { values, bound }: Bounded, dim: number): void {
  const shape = [values.length / dim, dim]
  const allowed = { values, bound: bound.map((error) => error / 10) }
  const { mistrusted } = expectWithinBound(actual, allowed, { name: 'layer', shape, token: '', backend: platform })
  expect(mistrusted, 'a bound beyond a tenth of the values').toBe(false)
}

/** Some of the rows of [rows][dim]. */
export function someRows({ values, bound }: Bounded, dim: number, wanted: (row: number) => boolean): Bounded {
  const pick = (all: Float64Array): Float64Array => all.filter((_, index) => wanted(Math.floor(index / dim)))
  return { values: pick(values), bound: pick(bound) }
}

export function rowsOf<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: list.length / size }, (_, index) => list.slice(index * size, (index + 1) * size))
}
