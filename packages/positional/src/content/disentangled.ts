import { capture, tensor, type HostTensor } from '@qkv/core'
import type { ContentScore } from '../encoding.ts'
import { checkTable, refused } from '../refuse.ts'
import { relativeProducts, type RelativePart } from './relative-products.ts'

export interface DisentangledOptions {
  /** [heads, 2·span, headDim]: the embeddings of distances as keys, which queries meet (`c2p`). */
  readonly positionKeys?: HostTensor | undefined
  /** [heads, 2·span, headDim]: the embeddings of distances as queries, which keys meet (`p2c`). */
  readonly positionQueries?: HostTensor | undefined
  /**
   * The distance (`max_relative_positions`) up to which logarithmic buckets reach; the table's span is `position_buckets`.
   * Without it, as in the first DeBERTa, each distance below the span has a vector of its own.
   */
  readonly maxDistance?: number | undefined
}

/**
 * DeBERTa's disentangled attention: besides contents with each other, contents meet positions,
 *
 *     score + scale · (q·r(δ) + k·r′(δ)),   δ = bucket(query − key) + span, clipped to the table,
 *
 * the embeddings of distances having gone through key and query projections of their own, or those of the tokens
 * (`share_att_key`). Attention's `scale` is 1/√(3·headDim) where both are used, 1/√(2·headDim) for one. He et al. 2020,
 * arXiv:2006.03654; DeBERTa, and with buckets v2, v3 and mDeBERTa.
 */
export function disentangled({ positionKeys, positionQueries, maxDistance }: DisentangledOptions): ContentScore {
  const operation = 'disentangled'
  const first = positionKeys ?? positionQueries
  if (first === undefined) throw refused(operation, 'positionKeys', 'given, or positionQueries', first)
  const name = positionKeys === undefined ? 'positionQueries' : 'positionKeys'
  const [heads = 0, rows = 0, headDim = 0] = checkTable(operation, name, first, ['heads', '2·span', 'headDim'])
  if (positionQueries !== undefined) checkTable(operation, 'positionQueries', positionQueries, [heads, rows, headDim])
  if (rows % 2 !== 0) throw refused(operation, name, 'of an even number of rows, 2·span', rows)
  const step = maxDistance === undefined ? plainStep(rows / 2) : bucketStep(rows / 2, maxDistance)
  const parts: RelativePart[] = []
  if (positionKeys !== undefined) parts.push({ multiplied: 'query', table: positionKeys, step })
  if (positionQueries !== undefined) parts.push({ multiplied: 'key', table: positionQueries, step })
  return relativeProducts(operation, { headDim, heads }, parts)
}

function plainStep(span: number): RelativePart['step'] {
  return ({ query, key }) =>
    query
      .sub(key)
      .add(span)
      .clamp(0, 2 * span - 1)
}

function bucketStep(span: number, maxDistance: number): RelativePart['step'] {
  const buckets = disentangledBuckets(span, maxDistance)
  const steps = buckets.map((bucket) => Math.max(0, Math.min(2 * span - 1, bucket + span)))
  const step = capture(tensor(steps, [steps.length]), 'int')
  return ({ query, key }) => step.at(query.sub(key).clamp(-maxDistance, maxDistance).add(maxDistance))
}

/**
 * The bucket of each distance from −maxDistance to maxDistance: distances up to span/2 have their own, then a bucket grows
 * with the logarithm, span − 1 being that of maxDistance − 1. In float32, as DeBERTa's own code has it, where some distances
 * lie on the edge of a bucket.
 */
export function disentangledBuckets(span: number, maxDistance: number): Int32Array {
  const middle = Math.floor(span / 2)
  if (!(Number.isSafeInteger(maxDistance) && maxDistance > middle + 1)) {
    throw refused('disentangled', 'maxDistance', `a whole number above ${middle + 1}, half the span and one`, maxDistance)
  }
  const log = (ratio: number): number => Math.fround(Math.log(Math.fround(ratio)))
  const reach = log((maxDistance - 1) / middle)
  return Int32Array.from({ length: 2 * maxDistance + 1 }, (_, index) => {
    const distance = index - maxDistance
    const far = Math.abs(distance)
    if (far <= middle) return distance
    const steps = Math.ceil(Math.fround(Math.fround(log(far / middle) / reach) * (middle - 1)))
    return Math.sign(distance) * (middle + steps)
  })
}
