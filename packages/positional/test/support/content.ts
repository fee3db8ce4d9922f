import { problem, tensor, toFloat64, zeros, type AttentionProblem, type HostTensor } from '@qkv/core'
import { contentSizes, type ContentClaim } from '../claims/content.ts'
import { floats } from '../claims/scores.ts'

const { batch, heads, keyHeads, headDim, keys, scale } = contentSizes

export interface ContentTensors {
  readonly query: HostTensor
  readonly key: HostTensor
  readonly value: HostTensor
}

/** Queries at the end of seven keys. */
export function contentInputs(queries: number): ContentTensors {
  return {
    query: floats('q', [batch, heads, queries, headDim]),
    key: floats('k', [batch, keyHeads, keys, headDim]),
    value: floats('v', [batch, keyHeads, keys, 3]),
  }
}

/** Attention over an encoding's terms. */
export function byTerms({ encoding }: ContentClaim, { query, key, value }: ContentTensors): AttentionProblem {
  const terms = encoding.terms({ query, key, scale })
  return problem(terms.query, terms.key, value, { scale, score: terms.scoreMod, causal: true })
}

/** Attention over nothing but its scores, as a tensor of all pairs. */
export function byScores({ expected }: ContentClaim, { query, key, value }: ContentTensors): AttentionProblem {
  const [q, k] = [toFloat64(query), toFloat64(key)]
  const queries = query.shape[2] ?? 0
  const row = (matrix: Float64Array, index: number): Float64Array => matrix.subarray(index * headDim, (index + 1) * headDim)
  const scores = new Float32Array(batch * heads * queries * keys)
  for (let at = 0; at < scores.length; at++) {
    const [rowOfAll, j] = [Math.floor(at / keys), at % keys]
    const [b, h, i] = [
      Math.floor(rowOfAll / (queries * heads)),
      Math.floor(rowOfAll / queries) % heads,
      (rowOfAll % queries) + keys - queries,
    ]
    const keysOfHead = Array.from({ length: keys }, (_, n) =>
      row(k, (b * keyHeads + Math.floor((h * keyHeads) / heads)) * keys + n),
    )
    scores[at] = j <= i ? expected(h, i, j, row(q, rowOfAll), keysOfHead) : 0
  }
  return problem(zeros(query.shape), zeros(key.shape), value, { bias: tensor(scores, [batch, heads, queries, keys]), causal: true })
}
