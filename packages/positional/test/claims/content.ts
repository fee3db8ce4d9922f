import { toFloat64 } from '@qkv/core'
import type { ContentScore } from '@qkv/positional'
import { cope, shaw, transformerXl } from '@qkv/positional/content'
import { floats } from './scores.ts'

export const contentSizes = { batch: 2, heads: 4, keyHeads: 2, headDim: 4, keys: 7, scale: 0.4 } as const

const { heads, headDim, scale } = contentSizes

/** An encoding that looks at queries and keys, and its scores once more, written as plainly as the source has them. */
export interface ContentClaim {
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
    expected: (_, i, j, q, k) =>
      scale *
      dot(
        q,
        k[j]!.map((element, c) => element + row(r, Math.max(-reach, Math.min(reach, j - i)) + reach, headDim)[c]!),
      ),
  }
}

function transformerXlClaim(): ContentClaim {
  const modelDim = 6
  const [contentBias, positionBias] = [floats('u', [heads, headDim]), floats('v bias', [heads, headDim])]
  const projection = floats('W', [heads, headDim, modelDim])
  const [u, v, w] = [contentBias, positionBias, projection].map(toFloat64) as [Float64Array, Float64Array, Float64Array]
  const sinusoid = (n: number): number[] =>
    [0, 1, 2, 3, 4, 5].map((m) => (m < 3 ? Math.sin : Math.cos)(n / 10000 ** ((2 * (m % 3)) / modelDim)))
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

export const contentClaims: readonly ContentClaim[] = [shawClaim(), transformerXlClaim(), copeClaim()]
