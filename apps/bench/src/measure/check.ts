import { problem, slice, tensor, type HostTensor } from '@qkv/core'
import { reference } from '@qkv/core/reference'
import { keysOfRow, type AttentionCase, type BenchCase, type LinearCase } from '../cases/case.ts'
import { linearVectors } from '../cases/vectors.ts'
import { problemOf } from '../peers/qkv.ts'
import { headGradient } from './head-gradient.ts'

/** How a result compares with the float64 reference at the places that were looked at. */
export interface Agreement {
  /** Largest error over the reference's bound: at most 1 for a correct float32 kernel. */
  readonly ofBound: number
  /** Largest error over the largest result. */
  readonly relative: number
  /** False where something else was computed, not merely less exactly: an error beyond a thousandth. */
  readonly right: boolean
}

const wrongBeyond = 1e-3

/** Compares a contestant's result, in the order {@link Contestant.result} gives, with float64 at sampled rows. */
export function checkResult(bench: BenchCase, result: Float32Array): Agreement {
  if (bench.kind === 'linear') return agreement(linearSamples(bench, result))
  return agreement(bench.gradient ? gradientSamples(bench, result) : rowSamples(bench, result))
}

interface Sample {
  readonly actual: number
  readonly exact: number
  readonly bound: number
}

function agreement(samples: Iterable<Sample>): Agreement {
  let ofBound = 0
  let error = 0
  let largest = 0
  for (const { actual, exact, bound } of samples) {
    const off = Math.abs(actual - exact)
    if (!(off <= bound)) ofBound = Math.max(ofBound, Number.isNaN(off) ? Infinity : off / bound)
    else if (bound > 0) ofBound = Math.max(ofBound, off / bound)
    error = Math.max(error, Number.isNaN(off) ? Infinity : off)
    largest = Math.max(largest, Math.abs(exact))
  }
  const relative = error / largest
  return { ofBound, relative, right: relative <= wrongBeyond }
}

/** Rows at the ends and some between, of the first, the middle and the last head, each as a problem of one query over the keys it sees. */
function* rowSamples(bench: AttentionCase, result: Float32Array): Generator<Sample> {
  const { batch, queryHeads, keyHeads, queryLength, valueDim } = bench
  const { query, key, value, keyScales, valueScales, sinks, softcap, scoreMod } = problemOf(bench)
  for (const head of new Set([0, queryHeads >> 1, queryHeads - 1])) {
    const keyHead = Math.floor((head * keyHeads) / queryHeads)
    for (const row of sampledRows(queryLength)) {
      const { first, end } = keysOfRow(bench, row)
      const cut = (view: typeof key): typeof key =>
        slice(slice(slice(view, 0, batch - 1, batch), 1, keyHead, keyHead + 1), 2, first, end)
      const single = problem(
        slice(slice(slice(query, 0, batch - 1, batch), 1, head, head + 1), 2, row, row + 1),
        cut(key),
        cut(value),
        {
          softcap: softcap || undefined,
          sinks: sinks && slice(sinks, 0, head, head + 1),
          keyScales: keyScales && cut(keyScales),
          valueScales: valueScales && cut(valueScales),
          bias: scoreMod && alibiRow(bench, head, row, first, end),
        },
      )
      const { output, bound } = reference(single)
      const at = (((batch - 1) * queryHeads + head) * queryLength + row) * valueDim
      for (let c = 0; c < valueDim; c++) yield { actual: result[at + c] ?? NaN, exact: output[c] ?? NaN, bound: bound[c] ?? 0 }
    }
  }
}

function sampledRows(rows: number): Set<number> {
  return new Set([0, 1, 2, 3, 5, 8].flatMap((eighth) => [Math.floor((eighth * (rows - 1)) / 8), Math.min(rows - 1, 63 + eighth)]))
}

/** ALiBi of one row, written out: the case's only score change. */
function alibiRow(bench: AttentionCase, head: number, row: number, first: number, end: number): HostTensor {
  const slope = 2 ** ((-8 * (head + 1)) / bench.queryHeads)
  const position = bench.keyLength - bench.queryLength + row
  return tensor(
    Float32Array.from({ length: end - first }, (_, j) => slope * (first + j - position)),
    [1, 1, 1, end - first],
  )
}

/** The gradients of the last head, whole, since every key's depends on every query. */
function* gradientSamples(bench: AttentionCase, result: Float32Array): Generator<Sample> {
  const exact = headGradient(bench)
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim } = bench
  let end = 0
  for (const [part, size] of [
    [exact.dQuery, batch * queryHeads * queryLength * headDim],
    [exact.dKey, batch * keyHeads * keyLength * headDim],
    [exact.dValue, batch * keyHeads * keyLength * valueDim],
  ] as const) {
    end += size
    const start = end - part.values.length
    for (let i = 0; i < part.values.length; i++) {
      yield { actual: result[start + i] ?? NaN, exact: part.values[i] ?? NaN, bound: part.bounds[i] ?? 0 }
    }
  }
}

function* linearSamples(bench: LinearCase, result: Float32Array): Generator<Sample> {
  const { rows, inputs, outputs } = bench
  const { input, weight } = linearVectors(bench)
  for (const row of sampledRows(rows)) {
    for (const output of sampledRows(outputs)) {
      let exact = 0
      let size = 0
      for (let i = 0; i < inputs; i++) {
        const product = (input[row * inputs + i] ?? NaN) * (weight[output * inputs + i] ?? NaN)
        exact += product
        size += Math.abs(product)
      }
      // γ(n)·Σ|x·w|: Higham, Accuracy and Stability of Numerical Algorithms, 2002, §3.1.
      yield { actual: result[row * outputs + output] ?? NaN, exact, bound: (inputs + 1) * 2 ** -24 * size }
    }
  }
}
