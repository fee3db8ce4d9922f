import { scoreMod, type FloatExpression, type FloatOperand, type HostTensor, type TokenPair } from '@qkv/core'
import type { PositionScore } from '../encoding.ts'

/** A score change that follows from positions alone. */
export function positionScore(
  parameters: readonly HostTensor[],
  build: (score: FloatExpression, pair: TokenPair) => FloatOperand,
): PositionScore {
  return Object.freeze<PositionScore>({ kind: 'score', follows: 'positions', scoreMod: scoreMod(build), parameters })
}
