import { capture, type HostTensor } from '@qkv/core'
import type { PositionScore } from '../encoding.ts'
import { checkCount, checkTable } from '../refuse.ts'
import { positionScore } from './position-score.ts'

export interface GridBiasOptions {
  readonly height: number
  readonly width: number
  /** [(2·height − 1)·(2·width − 1), heads], trained: `relative_position_bias_table`. */
  readonly table: HostTensor
}

/**
 * A trained bias for each step (Δy, Δx) = query − key between two patches of an image, numbered row by row, and each head.
 * Liu et al. 2021, arXiv:2103.14030; Swin, in its windows.
 */
export function gridBias({ height, width, table }: GridBiasOptions): PositionScore {
  checkCount('gridBias', 'height', height)
  checkCount('gridBias', 'width', width)
  const columns = 2 * width - 1
  checkTable('gridBias', 'table', table, [(2 * height - 1) * columns, 'heads'])
  const bias = capture(table)
  return positionScore([table], (score, { head, query, key }) => {
    const down = query
      .floorDiv(width)
      .sub(key.floorDiv(width))
      .clamp(1 - height, height - 1)
      .add(height - 1)
    const right = query
      .mod(width)
      .sub(key.mod(width))
      .add(width - 1)
    return score.add(bias.at(down.mul(columns).add(right), head))
  })
}
