import { problem, reference, tensor, toFloat64, type AttentionProblem, type Backend, type Platform } from '@qkv/core'
import { expectWithinBound } from '@qkv/testing'
import { floats, type ScoreClaim } from '../claims/scores.ts'

export const keys = 24

/** Queries at the end of 24 keys, as in a chunk of prefill: all of them, the last nine, or one. */
export const chunks: readonly number[] = [24, 9, 1]

/** What a claim's expression does to scores, and the same by an explicit tensor of all pairs. */
export function claimProblems(claim: ScoreClaim, queries: number): { byExpression: AttentionProblem; byTensor: AttentionProblem } {
  const { heads, encoding, expected, causal } = claim
  const [q, k, v] = [floats('q', [1, heads, queries, 8]), floats('k', [1, heads, keys, 8]), floats('v', [1, heads, keys, 5])]
  const [query, key] = [toFloat64(q), toFloat64(k)]
  const added = new Float32Array(heads * queries * keys)
  for (let at = 0; at < added.length; at++) {
    const [head, row, j] = [Math.floor(at / (queries * keys)), Math.floor(at / keys) % queries, at % keys]
    let score = 0
    for (let c = 0; c < 8; c++) score += query[(head * queries + row) * 8 + c]! * key[(head * keys + j) * 8 + c]!
    score /= Math.sqrt(8)
    added[at] = expected(head, keys - queries + row, j, score) - score
  }
  const bias = tensor(added, [1, heads, queries, keys])
  return {
    byExpression: problem(q, k, v, { causal, score: encoding.scoreMod }),
    byTensor: problem(q, k, v, { causal, bias }),
  }
}

/** A backend's attention against the reference's, within its bound. */
export async function expectAttention(
  backend: Backend,
  actual: AttentionProblem,
  expected: AttentionProblem,
  name: string,
  platform: Platform,
): Promise<void> {
  const [own, exact] = [reference(actual, { backend: platform }), reference(expected, { backend: platform })]
  const { output } = backend.attention(actual)
  const values = await backend.read(output)
  output.dispose()
  const bound = own.bound.map((allowed, i) => allowed + exact.bound[i]!)
  expectWithinBound(
    values,
    { values: exact.output, bound },
    { name: 'output', shape: output.shape, token: name, backend: platform },
  )
}
