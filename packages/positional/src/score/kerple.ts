import { capture, float, select, type HostTensor } from '@qkv/core'
import type { PositionScore } from '../encoding.ts'
import { checkOneOf, checkTable } from '../refuse.ts'
import { positionScore } from './position-score.ts'

export interface KerpleOptions {
  /** How the loss grows with distance d: `logarithmic` (the default) r₁·ln(1 + r₂·d), `power` r₁·d^r₂. */
  readonly kernel?: 'logarithmic' | 'power' | undefined
  /** [heads], trained and kept positive: how much. */
  readonly r1: HostTensor
  /** [heads], trained and kept positive, for `power` at most 2: how fast. */
  readonly r2: HostTensor
}

/**
 * Kernelised relative positions: each head loses with distance by its own trained law,
 *
 *     score − r₁·ln(1 + r₂·|query − key|)   or   score − r₁·|query − key|^r₂.
 *
 * Chi et al. 2022, arXiv:2205.09921; with the power kernel and r₂ = 1 it is ALiBi.
 */
export function kerple({ kernel = 'logarithmic', r1, r2 }: KerpleOptions): PositionScore {
  const [heads = 0] = checkTable('kerple', 'r1', r1, ['heads'])
  checkTable('kerple', 'r2', r2, [heads])
  checkOneOf('kerple', 'kernel', kernel, ['logarithmic', 'power'])
  const [much, fast] = [capture(r1), capture(r2)]
  return positionScore([r1, r2], (score, { head, query, key }) => {
    const distance = query.sub(key).abs()
    const loss =
      kernel === 'logarithmic'
        ? fast.at(head).mul(distance).add(1).log()
        : select(distance.eq(0), float(0), fast.at(head).mul(distance.max(1).toFloat().log()).exp())
    return score.sub(much.at(head).mul(loss))
  })
}
