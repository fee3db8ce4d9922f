import { capture, tensor, type HostTensor } from '@qkv/core'
import type { PositionScore } from '../encoding.ts'
import { checkCount, checkTable, refused } from '../refuse.ts'
import { positionScore } from './position-score.ts'

export interface T5Options {
  /** [buckets, heads], trained: `relative_attention_bias.weight`. */
  readonly table: HostTensor
  /** Half the buckets for keys after the query (encoders, the default), or all for keys before it (decoders). */
  readonly bidirectional?: boolean | undefined
  /** From where on all keys share the last bucket. Default 128. */
  readonly maxDistance?: number | undefined
}

/**
 * A trained bias for each bucket of distances and each head. Raffel et al. 2019, arXiv:1910.10683; T5, mT5, UL2, whose
 * attention has `scale: 1`.
 */
export function t5Bias({ table, bidirectional = true, maxDistance = 128 }: T5Options): PositionScore {
  const [buckets = 0] = checkTable('t5Bias', 'table', table, ['buckets', 'heads'])
  const bucketOf = t5Buckets({ buckets, bidirectional, maxDistance })
  const bucket = capture(tensor(bucketOf, [bucketOf.length]), 'int')
  const bias = capture(table)
  return positionScore([table], (score, { head, query, key }) => {
    const distance = key.sub(query).clamp(-maxDistance, maxDistance)
    return score.add(bias.at(bucket.at(distance.add(maxDistance)), head))
  })
}

/**
 * The bucket of each distance from −maxDistance to maxDistance of a key after its query: half of them exact, then
 * logarithmic. The logarithm is float32, as in T5's own code, where some distances lie on the edge of a bucket.
 */
export function t5Buckets(options: { buckets: number; bidirectional: boolean; maxDistance: number }): Int32Array {
  const { buckets, bidirectional, maxDistance } = options
  const oneSide = bidirectional ? buckets / 2 : buckets
  checkCount('t5Bias', bidirectional ? 'buckets / 2' : 'buckets', oneSide, 2)
  const exact = Math.floor(oneSide / 2)
  if (!(checkCount('t5Bias', 'maxDistance', maxDistance) > exact)) {
    throw refused('t5Bias', 'maxDistance', `above ${exact}, the distances that have a bucket of their own`, maxDistance)
  }
  const widening = Math.fround(Math.log(maxDistance / exact))
  const bucketOf = (distance: number): number => {
    if (distance < exact) return distance
    const steps = Math.fround(Math.fround(Math.log(distance / exact)) / widening) * (oneSide - exact)
    return Math.min(oneSide - 1, exact + Math.floor(Math.fround(steps)))
  }
  return Int32Array.from({ length: 2 * maxDistance + 1 }, (_, i) => {
    const after = i - maxDistance
    if (!bidirectional) return bucketOf(Math.max(0, -after))
    return bucketOf(Math.abs(after)) + (after > 0 ? oneSide : 0)
  })
}
