import {
  and,
  broadcastTo,
  elementCount,
  maskMod,
  permute,
  problem,
  reshape,
  slice,
  tensor,
  type AttentionResult,
  type Backend,
  type BoolExpression,
  type HostTensor,
  type IntExpression,
  type MaskMod,
  type Partial,
  type Tensor,
} from '@qkv/core'
import { attention, type AttentionOptions } from './attention.ts'
import { bringHome, queryStarts } from './positions.ts'
import { checkBackend, checkShape, checkWhole, invalid, refused } from './refuse.ts'
import { withTemporaries, type Temporaries } from './temporaries.ts'

export interface RelativeValues {
  /** [distances, valueDim], trained, shared by the heads: a vector for each distance key − query. */
  readonly table: HostTensor
  /** How far before the query the first vector is for. Default (distances − 1) / 2. */
  readonly left?: number | undefined
  /** What keys beyond the table take on: the vector of the nearest distance (the default), or nothing. */
  readonly beyond?: 'nearest' | 'nothing' | undefined
}

export interface RelativeValueOptions extends Omit<AttentionOptions, 'valueScales' | 'onProgress'> {
  readonly relativeValues: RelativeValues
}

/**
 * {@link attention} whose values, too, take on a vector for their distance from the query,
 *
 *     oᵢ = Σⱼ pᵢⱼ · (vⱼ + r(j − i)),
 *
 * the second table of Shaw et al. 2018, arXiv:1803.02155 (whose first is `position: shaw({ table })` of
 * `@qkv/positional/content`), and of VITS, where keys beyond the table take on nothing.
 *
 * No table of all pairs is made. Keys are parted into bands of distances, which are attended to one after another and merged.
 * A band spans M consecutive distances, so the keys that a query sees in it have M different indices modulo M. Each value is
 * extended by M elements: a one at its key's index modulo M, zeros elsewhere. Attention then returns, in those M elements, the
 * weight that the query gave to each distance, and a product with the M vectors is their share of the output. It costs three
 * attentions, two where nothing is beyond, over disjoint keys, with values that are wider by the table's rows.
 *
 * @throws QkvError as {@link attention} does; `OPTION_INVALID` for a mask that is a tensor.
 */
export async function relativeValueAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  { relativeValues, ...options }: RelativeValueOptions,
): Promise<AttentionResult> {
  const { backend, mask } = options
  checkBackend(operation, backend)
  if (mask !== undefined && !('kind' in mask)) throw invalid(operation, 'mask', 'an expression (maskMod)', 'a tensor')
  const asked = problem(query, key, value, options)
  const bands = bandsOf(relativeValues, asked.valueDim)
  const starts = queryStarts(asked, asked.lengths && (await bringHome(backend, asked.lengths)))
  return withTemporaries(async (scope) => {
    const parts: Partial[] = []
    for (const band of bands) {
      const seen = [mask, band.mask].filter((each) => each !== undefined)
      const own = { mask: seen.length > 0 ? and(...seen) : undefined, sinks: parts.length === 0 ? options.sinks : undefined }
      const { vectors } = band
      const values = vectors ? marked(backend, value, vectors.shape[0] ?? 0, scope) : value
      const { output, lse } = await attention(query, key, values, { ...options, ...own, lse: true })
      scope.keep(output)
      if (lse === undefined) throw refused('INTERNAL', operation, 'lse', 'what was asked of the backend', 'undefined')
      const carried = vectors ? withVectors(backend, output, { ...band, vectors }, starts, scope) : output
      parts.push({ output: carried, lse: scope.keep(lse) })
    }
    return backend.merge(parts)
  })
}

const operation = 'relativeValueAttention'

/** Keys at some distances, and what they take on. */
interface Band {
  /** Undefined = all. */
  readonly mask: MaskMod | undefined
  /** The distance of the first vector. */
  readonly first: number
  /** [M, valueDim], one for each distance from the first on, or one for all; undefined = nothing. */
  readonly vectors: HostTensor | undefined
}

/** All distances, each in one band. */
function bandsOf({ table, left, beyond = 'nearest' }: RelativeValues, valueDim: number): Band[] {
  checkShape(operation, 'relativeValues.table', table.shape, [-1, valueDim])
  const [count = 0] = table.shape
  const before = left ?? (count - 1) / 2
  checkWhole(operation, 'relativeValues.left', [before], 0, count - 1)
  const [first, last] = [-before, count - 1 - before]
  const where = (holds: (distance: IntExpression) => BoolExpression): MaskMod => maskMod(({ query, key }) => holds(key.sub(query)))
  const among = (from: number, to: number): MaskMod => where((distance) => distance.ge(from).and(distance.le(to)))
  if (beyond === 'nothing') {
    return [
      { mask: among(first, last), first, vectors: table },
      { mask: where((distance) => distance.lt(first).or(distance.gt(last))), first, vectors: undefined },
    ]
  }
  if (count === 1) return [{ mask: undefined, first, vectors: table }]
  const ends: Band[] = [
    { mask: where((distance) => distance.le(first)), first, vectors: slice(table, 0, 0, 1) },
    { mask: where((distance) => distance.ge(last)), first: last, vectors: slice(table, 0, count - 1, count) },
  ]
  if (count === 2) return ends
  return [...ends, { mask: among(first + 1, last - 1), first: first + 1, vectors: slice(table, 0, 1, count - 1) }]
}

/** Values [batch, keyHeads, keyLength, valueDim + M], the last M of which are 0 but for the remainder that the key leaves by M. */
function marked(backend: Backend, value: Tensor, M: number, scope: Temporaries): Tensor {
  const [batch = 0, heads = 0, length = 0, dim = 0] = value.shape
  const marks = Float32Array.from({ length: length * M }, (_, index) => (Math.floor(index / M) % M === index % M ? 1 : 0))
  const both = scope.keep(backend.empty([batch, heads, length, dim + M], value.dtype))
  backend.copy(value, slice(both, 3, 0, dim))
  backend.copy(broadcastTo(tensor(marks, [length, M]), [batch, heads, length, M]), slice(both, 3, dim, dim + M))
  return both
}

/** What attention to marked values gave, with the band's vectors by their weights: [batch, heads, queryLength, valueDim]. */
function withVectors(
  backend: Backend,
  output: Tensor,
  { first, vectors }: Band & { readonly vectors: HostTensor },
  starts: readonly number[],
  scope: Temporaries,
): Tensor {
  const [batch = 0, heads = 0, length = 0] = output.shape
  const [M = 0, dim = 0] = vectors.shape
  const byRemainder = scope.keep(backend.empty([batch, heads, length, M], output.dtype))
  backend.copy(slice(output, 3, dim, dim + M), byRemainder)

  // Of query i, the key at distance first + m leaves the remainder of (i's own place + first + m).
  const places = Int32Array.from({ length: elementCount(byRemainder.shape) }, (_, index) => {
    const row = Math.floor(index / M)
    const start = starts[Math.floor(row / (heads * length))] ?? 0
    const remainder = (start + (row % length) + first + (index % M)) % M
    return row * M + (remainder < 0 ? remainder + M : remainder)
  })
  const weights = reshape(byRemainder, [places.length, 1])
  const byDistance = reshape(scope.keep(backend.gather(weights, tensor(places, [places.length]))), byRemainder.shape)
  const shares = scope.keep(backend.linear(byDistance, permute(vectors, [1, 0])))
  return scope.keep(backend.add(slice(output, 3, 0, dim), shares))
}
