import type { PositionScore } from '../encoding.ts'
import { checkCount, refused } from '../refuse.ts'
import { positionScore } from './position-score.ts'

export interface TemperatureOptions {
  /** How much scores grow. Default 0.1. */
  readonly beta?: number | undefined
  /** How many positions pass before each step. Default 8192. */
  readonly floor?: number | undefined
  /** Added to the position first: 1 (the default) in Llama 4, 0 in Ministral 3. */
  readonly offset?: number | undefined
}

/**
 * Scores sharpened as the context grows, for layers without positions, which long softmaxes would flatten:
 *
 *     score · (1 + β·ln(1 + ⌊(query + offset) / floor⌋)).
 *
 * Nakanishi 2025, arXiv:2501.19399; Llama 4 (`attn_scale`, `floor_scale`), Ministral 3 (`llama_4_scaling_beta`).
 */
export function temperature({ beta = 0.1, floor = 8192, offset = 1 }: TemperatureOptions = {}): PositionScore {
  checkCount('temperature', 'floor', floor)
  checkCount('temperature', 'offset', offset, 0)
  if (!Number.isFinite(beta)) throw refused('temperature', 'beta', 'a finite number', beta)
  return positionScore([], (score, { query }) =>
    score.mul(query.add(offset).floorDiv(floor).add(1).max(1).toFloat().log().mul(beta).add(1)),
  )
}
