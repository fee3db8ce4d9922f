import { capture, select, type HostTensor, type IntExpression } from '@qkv/core'
import type { PositionScore } from '../encoding.ts'
import { checkCount, checkTable } from '../refuse.ts'
import { positionScore } from './position-score.ts'

export interface GridBiasOptions {
  readonly height: number
  readonly width: number
  /** [(2·height − 1)·(2·width − 1), heads], trained: `relative_position_bias_table`; three more rows with a class token. */
  readonly table: HostTensor
  /** Whether a class token stands before the patches. Its rows are for it as query, as key, and as both. Default false. */
  readonly classToken?: boolean | undefined
}

/**
 * A trained bias for each step (Δy, Δx) = query − key between two patches of an image, numbered row by row, and each head.
 * Liu et al. 2021, arXiv:2103.14030; Swin, in its windows; BEiT, with a class token.
 */
export function gridBias({ height, width, table, classToken = false }: GridBiasOptions): PositionScore {
  checkCount('gridBias', 'height', height)
  checkCount('gridBias', 'width', width)
  const columns = 2 * width - 1
  const steps = (2 * height - 1) * columns
  checkTable('gridBias', 'table', table, [steps + (classToken ? 3 : 0), 'heads'])
  const bias = capture(table)
  const stepOf = (query: IntExpression, key: IntExpression): IntExpression => {
    const down = query
      .floorDiv(width)
      .sub(key.floorDiv(width))
      .clamp(1 - height, height - 1)
      .add(height - 1)
    const right = query
      .mod(width)
      .sub(key.mod(width))
      .add(width - 1)
    return down.mul(columns).add(right)
  }
  return positionScore([table], (score, { head, query, key }) => {
    if (!classToken) return score.add(bias.at(stepOf(query, key), head))
    const ofClass = select(key.eq(0), steps + 2, steps)
    const ofPatch = select(key.eq(0), steps + 1, stepOf(query.sub(1), key.sub(1)))
    return score.add(bias.at(select(query.eq(0), ofClass, ofPatch), head))
  })
}
