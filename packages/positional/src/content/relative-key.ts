import type { HostTensor } from '@qkv/core'
import type { ContentScore } from '../encoding.ts'
import { checkTable, refused } from '../refuse.ts'
import { relativeProducts, type RelativePart } from './relative-products.ts'

export interface RelativeKeyOptions {
  /** [2·longest − 1, headDim], trained, shared by the heads: `distance_embedding.weight`. */
  readonly table: HostTensor
}

/**
 * BERT's `relative_key`: a trained vector for each distance query − key, met by the query,
 *
 *     score + scale · q·r(query − key).
 *
 * Shaw's encoding (2018, arXiv:1803.02155) with distances counted the other way; BERT-like models whose config says
 * `position_embedding_type: "relative_key"`.
 */
export function relativeKey({ table }: RelativeKeyOptions): ContentScore {
  return byDistance('relativeKey', table, ['query'])
}

/**
 * BERT's `relative_key_query`: the vector of the distance meets the query and the key,
 *
 *     score + scale · (q·r(query − key) + k·r(query − key)).
 *
 * Method 4 of Huang et al. 2020, arXiv:2009.13658.
 */
export function relativeKeyQuery({ table }: RelativeKeyOptions): ContentScore {
  return byDistance('relativeKeyQuery', table, ['query', 'key'])
}

function byDistance(operation: string, table: HostTensor, multiplied: readonly RelativePart['multiplied'][]): ContentScore {
  const [distances = 0, headDim = 0] = checkTable(operation, 'table', table, ['2·longest − 1', 'headDim'])
  if (distances % 2 === 0) throw refused(operation, 'table', 'of an odd number of rows, 2·longest − 1', distances)
  const furthest = (distances - 1) / 2
  const step: RelativePart['step'] = ({ query, key }) =>
    query
      .sub(key)
      .add(furthest)
      .clamp(0, distances - 1)
  return relativeProducts(
    operation,
    { headDim },
    multiplied.map((tokens) => ({ multiplied: tokens, table, step })),
  )
}
