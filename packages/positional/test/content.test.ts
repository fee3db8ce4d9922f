import { problem, reference, referenceGradient, tensor, toFloat64, zeros, type AttentionProblem, type HostTensor } from '@qkv/core'
import type { ContentScore } from '@qkv/positional'
import { cope, shaw, transformerXl } from '@qkv/positional/content'
import { expectWithinBound } from '@qkv/testing'
import { describe, expect, test } from 'vitest'
import { floats } from './claims/scores.ts'
import { differences } from './support/differences.ts'

const [batch, heads, keyHeads, headDim, keys] = [2, 4, 2, 4, 7]
const scale = 0.4

/** An encoding that looks at queries and keys, and its scores once more, written as plainly as the source has them. */
interface ContentClaim {
  readonly name: string
  readonly encoding: ContentScore
  /** The score of a query at place `i` and key `j` of head `h`; `k` has the vectors of all keys. */
  expected(h: number, i: number, j: number, q: Float64Array, k: readonly Float64Array[]): number
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, c) => sum + value * b[c]!, 0)
const row = (matrix: Float64Array, index: number, size: number): Float64Array => matrix.subarray(index * size, (index + 1) * size)

function shawClaim(): ContentClaim {
  const [reach, table] = [3, floats('shaw', [7, headDim])]
  const r = toFloat64(table)
  return {
    name: 'Shaw',
    encoding: shaw({ table }),
    expected: (_, i, j, q, k) => scale * dot(q, k[j]!.map((element, c) => element + row(r, Math.max(-reach, Math.min(reach, j - i)) + reach, headDim)[c]!)),
  }
}

function transformerXlClaim(): ContentClaim {
  const modelDim = 6
  const [contentBias, positionBias] = [floats('u', [heads, headDim]), floats('v bias', [heads, headDim])]
  const projection = floats('W', [heads, headDim, modelDim])
  const [u, v, w] = [contentBias, positionBias, projection].map(toFloat64) as [Float64Array, Float64Array, Float64Array]
  const sinusoid = (n: number): number[] => [0, 1, 2, 3, 4, 5].map((m) => (m < 3 ? Math.sin : Math.cos)(n / 10000 ** ((2 * (m % 3)) / modelDim)))
  return {
    name: 'Transformer-XL',
    encoding: transformerXl({ contentBias, positionBias, projection }),
    expected: (h, i, j, q, k) => {
      const position = Float64Array.from({ length: headDim }, (_, c) => dot(row(w, h * headDim + c, modelDim), sinusoid(i - j)))
      const [withU, withV] = [row(u, h, headDim), row(v, h, headDim)].map((bias) => q.map((element, c) => element + bias[c]!))
      return scale * (dot(withU!, k[j]!) + dot(withV!, position))
    },
  }
}

function copeClaim(): ContentClaim {
  const table = floats('cope', [4, headDim])
  const e = toFloat64(table)
  return {
    name: 'CoPE',
    encoding: cope({ table }),
    expected: (_, i, j, q, k) => {
      let count = 0
      for (let n = j; n <= i; n++) count += 1 / (1 + Math.exp(-scale * dot(q, k[n]!)))
      const p = Math.min(count, 3)
      const share = p - Math.floor(p)
      const at = (whole: number): number => dot(q, row(e, whole, headDim))
      return scale * dot(q, k[j]!) + (1 - share) * at(Math.floor(p)) + share * at(Math.ceil(p))
    },
  }
}

describe.each([shawClaim(), transformerXlClaim(), copeClaim()])('$name', ({ name, encoding, expected }) => {
  const inputs = (queries: number) => ({
    query: floats('q', [batch, heads, queries, headDim]),
    key: floats('k', [batch, keyHeads, keys, headDim]),
    value: floats('v', [batch, keyHeads, keys, 3]),
  })

  function attend(query: HostTensor, key: HostTensor, value: HostTensor): AttentionProblem {
    const terms = encoding.terms({ query, key, scale })
    return problem(terms.query, terms.key, value, { scale, score: terms.scoreMod, causal: true })
  }

  test.each([keys, 3, 1])('attends as a tensor of its scores does, for %d queries at the end of seven keys', (queries) => {
    const { query, key, value } = inputs(queries)
    const [q, k] = [toFloat64(query), toFloat64(key)]
    const scores = new Float32Array(batch * heads * queries * keys)
    for (let at = 0; at < scores.length; at++) {
      const [rowOfAll, j] = [Math.floor(at / keys), at % keys]
      const [b, h, i] = [Math.floor(rowOfAll / (queries * heads)), Math.floor(rowOfAll / queries) % heads, (rowOfAll % queries) + keys - queries]
      const head = Array.from({ length: keys }, (_, n) => row(k, (b * keyHeads + Math.floor(h / 2)) * keys + n, headDim))
      scores[at] = j <= i ? expected(h, i, j, row(q, rowOfAll, headDim), head) : 0
    }
    const exact = reference(
      problem(zeros(query.shape), zeros(key.shape), value, { bias: tensor(scores, [batch, heads, queries, keys]), causal: true }),
    )
    const actual = reference(attend(query, key, value))
    const bound = exact.bound.map((allowed, i) => allowed + actual.bound[i]!)
    expectWithinBound(actual.output, { values: exact.output, bound }, { name, shape: [batch, heads, queries, 3], token: name })
  })

  test('carries gradients on to queries, keys and its parameters', () => {
    const { query, key, value } = inputs(5)
    const dOutput = floats('dO', [batch, heads, 5, 3])
    const loss = (): number =>
      reference(attend(query, key, value)).output.reduce((sum, output, i) => sum + output * dOutput.storage[i]!, 0)

    const terms = encoding.terms({ query, key, scale })
    const asked = problem(terms.query, terms.key, value, { scale, score: terms.scoreMod, causal: true })
    const { dQuery, dKey, captured } = referenceGradient(asked, dOutput)
    const asTensor = (values: Float64Array, shape: readonly number[]): HostTensor => tensor(Float32Array.from(values), shape)
    const gradient = terms.backward({
      dQuery: asTensor(dQuery.values, terms.query.shape),
      dKey: asTensor(dKey.values, terms.key.shape),
      captured: new Map([...captured].map(([part, { values }]) => [part, asTensor(values, part.shape)])),
    })

    const compare = (what: string, of: HostTensor, actual: HostTensor): void => {
      expect(actual.shape).toEqual(of.shape)
      // Terms are rounded to float32, which small steps magnify; with these numbers none of CoPE’s counts crosses a whole one.
      differences(loss, of, 2 ** -7).forEach((slope, i) => expect(Math.abs(slope - actual.storage[i]!), `${what} ${i}`).toBeLessThanOrEqual(3e-4))
      expect(Math.max(...toFloat64(actual).map(Math.abs))).toBeGreaterThan(0.02)
    }
    compare('dQuery', query, gradient.dQuery)
    compare('dKey', key, gradient.dKey)
    encoding.parameters.forEach((parameter, n) => compare(`parameter ${n}`, parameter, gradient.parameters[n]!))
  }, 60_000)
})
