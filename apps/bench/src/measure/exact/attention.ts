import { problem, slice, tensor, type AttentionProblem, type HostTensor } from '@qkv/core'
import { reference } from '@qkv/core/reference'
import { keysOfRow, type AttentionCase } from '../../cases/case.ts'
import { problemOf } from '../../cases/problem.ts'
import { attentionVectors } from '../../cases/vectors.ts'
import { sampledRows, type Sample } from './sample.ts'

/** Sampled rows of the first, the middle and the last head, each as a problem of one query over the keys it sees. */
export function* attentionSamples(bench: AttentionCase, result: Float32Array): Generator<Sample> {
  const { batch, queryHeads, queryLength, valueDim } = bench
  const whole = problemOf(bench)
  for (const head of new Set([0, queryHeads >> 1, queryHeads - 1])) {
    for (const row of sampledRows(queryLength)) {
      const { output, bound } = reference(singleRow(bench, whole, head, row))
      const at = (((batch - 1) * queryHeads + head) * queryLength + row) * valueDim
      for (let c = 0; c < valueDim; c++) yield { actual: result[at + c] ?? NaN, exact: output[c] ?? NaN, bound: bound[c] ?? 0 }
    }
  }
}

/** One query of the last batch entry. Its mask is in which keys are left. */
function singleRow(bench: AttentionCase, whole: AttentionProblem, head: number, row: number): AttentionProblem {
  const { batch, queryHeads, keyHeads, queryLength, keyLength } = bench
  const { query, key, value, keyScales, valueScales, sinks, softcap } = whole
  const keyHead = Math.floor((head * keyHeads) / queryHeads)
  const { first, end } = keysOfRow(bench, row)
  const cut = (view: typeof key): typeof key => slice(ofHead(view, batch, keyHead), 2, first, end)
  const queries = slice(ofHead(query, batch, head), 2, row, row + 1)
  const turned = (view: typeof key, position: number): typeof key => (bench.rotary ? rotated(view, position) : view)
  return problem(turned(queries, keyLength - queryLength + row), turned(cut(key), first), cut(value), {
    softcap: softcap || undefined,
    sinks: sinks && slice(sinks, 0, head, head + 1),
    keyScales: keyScales && cut(keyScales),
    valueScales: valueScales && cut(valueScales),
    bias: bench.alibi ? alibiRow(bench, head, row, first, end) : biasRow(bench, head, row, first, end),
  })
}

function ofHead(view: AttentionProblem['key'], batch: number, head: number): AttentionProblem['key'] {
  return slice(slice(view, 0, batch - 1, batch), 1, head, head + 1)
}

/** The bias that one row was given, or T5's of it. */
function biasRow(bench: AttentionCase, head: number, row: number, first: number, end: number): HostTensor | undefined {
  const { bias } = attentionVectors(bench)
  const start = (head * bench.queryLength + row) * bench.keyLength
  return bias && tensor(bias.subarray(start + first, start + end), [1, 1, 1, end - first])
}

/** ALiBi of one row, written out. */
function alibiRow(bench: AttentionCase, head: number, row: number, first: number, end: number): HostTensor {
  const slope = 2 ** ((-8 * (head + 1)) / bench.queryHeads)
  const position = bench.keyLength - bench.queryLength + row
  return tensor(
    Float32Array.from({ length: end - first }, (_, j) => slope * (first + j - position)),
    [1, 1, 1, end - first],
  )
}

/**
 * Vectors [1, 1, length, dim] from `position` on, each pair (i, i + dim/2) turned by position · 10,000^(−2i/dim) in float64. The
 * bound then counts from turned vectors as float32 has them, so that a kernel's own rounding of them is on its account.
 */
function rotated(view: AttentionProblem['key'], position: number): HostTensor {
  const [, , length = 0, dim = 0] = view.shape
  const { storage, offset, strides } = view as HostTensor
  const turned = new Float32Array(length * dim)
  for (let row = 0; row < length; row++) {
    for (let i = 0; i < dim / 2; i++) {
      const angle = (position + row) * 10_000 ** ((-2 * i) / dim)
      const at = offset + row * (strides[2] ?? 0)
      const [x, y] = [Number(storage[at + i]), Number(storage[at + i + dim / 2])]
      turned[row * dim + i] = x * Math.cos(angle) - y * Math.sin(angle)
      turned[row * dim + i + dim / 2] = y * Math.cos(angle) + x * Math.sin(angle)
    }
  }
  return tensor(turned, [1, 1, length, dim])
}
