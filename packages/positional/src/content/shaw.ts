import type { HostTensor } from '@qkv/core'
import type { ContentScore } from '../encoding.ts'
import { checkCount, checkTable, refused } from '../refuse.ts'
import { relativeProducts, type RelativePart } from './relative-products.ts'

export interface ShawOptions {
  /** [distances, headDim], trained, shared by the heads: a vector for each distance key − query. */
  readonly table: HostTensor
  /** How far before the query the first vector is for. Default (distances − 1) / 2: as far as the last is after it. */
  readonly left?: number | undefined
}

/**
 * Relative position representations: the key takes on a trained vector for its distance from the query, clipped,
 *
 *     score + scale · q·r(key − query).
 *
 * The paper's second table, added to the values, changes no score: see `@qkv/attention/relative-values`. Shaw et al. 2018,
 * arXiv:1803.02155; wav2vec2-BERT, which looks further back (`left`) than ahead.
 */
export function shaw({ table, left }: ShawOptions): ContentScore {
  const [distances = 0, headDim = 0] = checkTable('shaw', 'table', table, ['distances', 'headDim'])
  if (left === undefined && distances % 2 === 0) {
    throw refused('shaw', 'table', 'of an odd number of rows, 2·reach + 1, where left is not given', distances)
  }
  const before = checkCount('shaw', 'left', left ?? (distances - 1) / 2, 0)
  if (before >= distances) throw refused('shaw', 'left', `below the table’s ${distances} rows`, left)
  const step: RelativePart['step'] = ({ query, key }) =>
    key
      .sub(query)
      .add(before)
      .clamp(0, distances - 1)
  return relativeProducts('shaw', { headDim }, [{ multiplied: 'query', table, step }])
}
