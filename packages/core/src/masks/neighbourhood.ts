import { maskMod } from '../expression/build.ts'
import type { MaskMod } from '../expression/node.ts'
import { rejected } from '../expression/rejected.ts'
import type { IntExpression } from '../expression/value.ts'

export interface Grid {
  readonly height: number
  readonly width: number
}

/**
 * Tokens of an image, row by row: each sees the `size` × `size` tokens around it. At the borders the neighbourhood moves
 * inwards, so that all see equally many (Hassani et al., Neighborhood Attention Transformer, 2023).
 *
 * @param size an odd number, at most the grid's height and width
 */
export function neighbourhood({ height, width }: Grid, size: number): MaskMod {
  if (size % 2 !== 1 || size > Math.min(height, width)) {
    throw rejected('size', `an odd number up to ${Math.min(height, width)}`, String(size), 'neighbourhood')
  }
  const reach = (size - 1) / 2
  const near = (query: IntExpression, key: IntExpression, length: number) =>
    query
      .clamp(reach, length - 1 - reach)
      .sub(key)
      .abs()
      .le(reach)
  return maskMod(({ query, key }) =>
    near(query.floorDiv(width), key.floorDiv(width), height).and(near(query.mod(width), key.mod(width), width)),
  )
}
