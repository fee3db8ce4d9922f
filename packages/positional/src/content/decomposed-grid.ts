import type { HostTensor } from '@qkv/core'
import type { ContentScore } from '../encoding.ts'
import { checkCount, checkTable } from '../refuse.ts'
import { relativeProducts } from './relative-products.ts'

export interface DecomposedGridOptions {
  /** Patches of the image, or of the window that attention sees. */
  readonly height: number
  readonly width: number
  /** [2·height − 1, headDim], trained, shared by the heads: `rel_pos_h`, by steps down. */
  readonly rows: HostTensor
  /** [2·width − 1, headDim]: `rel_pos_w`, by steps to the right. */
  readonly columns: HostTensor
}

/**
 * Relative positions on a grid, one axis at a time: the query meets a trained vector for the step down and another for the
 * step to the right, from a key's patch to its own, numbered row by row,
 *
 *     score + q·r(Δy) + q·c(Δx),   Δ = query − key,
 *
 * not multiplied by the scale. Li et al. 2021, arXiv:2112.01526; MViTv2, ViTDet, the image encoder of SAM. Tables of another
 * size are resized first: `resizeTable`.
 */
export function decomposedGrid({ height, width, rows, columns }: DecomposedGridOptions): ContentScore {
  const operation = 'decomposedGrid'
  checkCount(operation, 'height', height)
  checkCount(operation, 'width', width)
  const [, headDim = 0] = checkTable(operation, 'rows', rows, [2 * height - 1, 'headDim'])
  checkTable(operation, 'columns', columns, [2 * width - 1, headDim])
  return relativeProducts(operation, { headDim }, [
    {
      multiplied: 'query',
      table: rows,
      factor: 1,
      step: ({ query, key }) =>
        query
          .floorDiv(width)
          .sub(key.floorDiv(width))
          .add(height - 1)
          .clamp(0, 2 * height - 2),
    },
    {
      multiplied: 'query',
      table: columns,
      factor: 1,
      step: ({ query, key }) =>
        query
          .mod(width)
          .sub(key.mod(width))
          .add(width - 1),
    },
  ])
}
