import { capture, tensor, type HostTensor } from '@qkv/core'
import type { PositionScore } from '../encoding.ts'
import { checkCount, checkPositive } from '../refuse.ts'
import { positionScore } from './position-score.ts'

export interface AlibiOptions {
  readonly heads: number
  /** The steepest exponent: slopes fall from 2^(−maximum/heads) to 2^−maximum. Default 8; MPT's `alibi_bias_max`. */
  readonly maximum?: number | undefined
}

/**
 * Attention with linear biases: head h loses slopeₕ for each token between query and key,
 *
 *     score − slopeₕ · |query − key|,
 *
 * which is the paper's slopeₕ · (key − query) under a causal mask and symmetric without one. Press et al. 2021,
 * arXiv:2108.12409; BLOOM, MPT, Baichuan 13B.
 */
export function alibi({ heads, maximum = 8 }: AlibiOptions): PositionScore {
  const slope = capture(alibiSlopes(heads, maximum))
  return positionScore([], (score, { head, query, key }) => score.sub(slope.at(head).mul(query.sub(key).abs())))
}

/**
 * [heads] For a power of two: 2^(−maximum·(h + 1)/heads). Otherwise those of the next lower power, then every second one
 * of the next higher, as the paper's code has it.
 */
export function alibiSlopes(heads: number, maximum = 8): HostTensor {
  checkCount('alibi', 'heads', heads)
  checkPositive('alibi', 'maximum', maximum)
  const lower = 2 ** Math.floor(Math.log2(heads))
  const slopes = Float32Array.from({ length: heads }, (_, h) => {
    return h < lower ? 2 ** ((-maximum * (h + 1)) / lower) : 2 ** ((-maximum * (2 * (h - lower) + 1)) / (2 * lower))
  })
  return tensor(slopes, [heads])
}
