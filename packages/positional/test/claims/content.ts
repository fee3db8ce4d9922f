import { toFloat64 } from '@qkv/core'
import type { ContentScore } from '@qkv/positional'
import { cope, decomposedGrid, disentangled, relativeKey, relativeKeyQuery, shaw, transformerXl } from '@qkv/positional/content'
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

/** Further back than ahead, as wav2vec2-BERT has it. */
function lopsidedShawClaim(): ContentClaim {
  const [left, right, table] = [3, 1, floats('lopsided Shaw', [5, headDim])]
  const r = toFloat64(table)
  return {
    name: 'Shaw, looking back',
    encoding: shaw({ table, left }),
    expected: (_, i, j, q, k) => scale * (dot(q, k[j]!) + dot(q, row(r, Math.max(-left, Math.min(right, j - i)) + left, headDim))),
  }
}

function relativeKeyClaims(): ContentClaim[] {
  const longest = 9
  const table = floats('distance embedding', [2 * longest - 1, headDim])
  const r = toFloat64(table)
  const of = (i: number, j: number): Float64Array => row(r, i - j + longest - 1, headDim)
  return [
    {
      name: 'relative_key',
      encoding: relativeKey({ table }),
      expected: (_, i, j, q, k) => scale * (dot(q, k[j]!) + dot(q, of(i, j))),
    },
    {
      name: 'relative_key_query',
      encoding: relativeKeyQuery({ table }),
      expected: (_, i, j, q, k) => scale * (dot(q, k[j]!) + dot(q, of(i, j)) + dot(k[j]!, of(i, j))),
    },
  ]
}

/** As DeBERTa's code has it: for its keys, too, rows of the table count the distance query − key. */
function disentangledClaims(): ContentClaim[] {
  const span = 4
  const [positionKeys, positionQueries] = [
    floats('position keys', [heads, 2 * span, headDim]),
    floats('position queries', [heads, 2 * span, headDim]),
  ]
  const [kr, qr] = [toFloat64(positionKeys), toFloat64(positionQueries)]
  const at = (table: Float64Array, h: number, step: number): Float64Array => row(table, h * 2 * span + step, headDim)
  const clipped = (step: number): number => Math.max(0, Math.min(2 * span - 1, step + span))
  // Buckets of distances below 7 with a span of 4: 0, 1 and 2 alone, then 3 more for the logarithm's one step.
  const bucket = (distance: number): number => Math.sign(distance) * Math.min(Math.abs(distance), 3)
  return [
    {
      name: 'DeBERTa',
      encoding: disentangled({ positionKeys, positionQueries }),
      expected: (h, i, j, q, k) =>
        scale * (dot(q, k[j]!) + dot(q, at(kr, h, clipped(i - j))) + dot(k[j]!, at(qr, h, clipped(i - j)))),
    },
    {
      name: 'DeBERTa, positions met by keys alone',
      encoding: disentangled({ positionQueries }),
      expected: (h, i, j, q, k) => scale * (dot(q, k[j]!) + dot(k[j]!, at(qr, h, clipped(i - j)))),
    },
    {
      name: 'DeBERTa with buckets',
      encoding: disentangled({ positionKeys, positionQueries, maxDistance: 7 }),
      expected: (h, i, j, q, k) => {
        const step = clipped(bucket(i - j))
        return scale * (dot(q, k[j]!) + dot(q, at(kr, h, step)) + dot(k[j]!, at(qr, h, step)))
      },
    },
  ]
}

/** As SAM's code has it: queries that are not scaled, on a grid of 3 rows of 3 patches, of which there are seven. */
function decomposedGridClaim(): ContentClaim {
  const [rows, columns] = [floats('rel_pos_h', [5, headDim]), floats('rel_pos_w', [5, headDim])]
  const [down, right] = [toFloat64(rows), toFloat64(columns)]
  return {
    name: 'SAM’s decomposed grid',
    encoding: decomposedGrid({ height: 3, width: 3, rows, columns }),
    expected: (_, i, j, q, k) =>
      scale * dot(q, k[j]!) +
      dot(q, row(down, Math.floor(i / 3) - Math.floor(j / 3) + 2, headDim)) +
      dot(q, row(right, (i % 3) - (j % 3) + 2, headDim)),
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

export const contentClaims: readonly ContentClaim[] = [
  shawClaim(),
  lopsidedShawClaim(),
  ...relativeKeyClaims(),
  ...disentangledClaims(),
  decomposedGridClaim(),
  transformerXlClaim(),
  copeClaim(),
]
