import { capture, tensor } from '@qkv/core'
import type { PositionScore } from '../encoding.ts'
import { checkCount, checkEven } from '../refuse.ts'
import { positionScore } from './position-score.ts'

export interface SandwichOptions {
  readonly heads: number
  /** The longest sequence to serve; a longer one is refused. */
  readonly length: number
  /** Of the sinusoids whose products these are. Default 128. */
  readonly dim?: number | undefined
}

/**
 * What sinusoidal embeddings add to scores once their cross terms with the content are dropped: the inner product of two
 * positions' sinusoids, from 0 at distance 0 downward, less of it for later heads h = 1 … H,
 *
 *     score + (Σₘ cos((query − key) / 10000^(2m/dim)) − dim/2) / (8h/H),   m = 1 … dim/2.
 *
 * Nothing is learned. Chi et al. 2022, arXiv:2212.10356, as in NVIDIA NeMo.
 */
export function sandwich({ heads, length, dim = 128 }: SandwichOptions): PositionScore {
  checkCount('sandwich', 'heads', heads)
  checkCount('sandwich', 'length', length)
  checkEven('sandwich', 'dim', dim)
  const products = Float32Array.from({ length }, (_, distance) => {
    let sum = -dim / 2
    for (let m = 1; m <= dim / 2; m++) sum += Math.cos(distance / 10000 ** ((2 * m) / dim))
    return sum
  })
  const product = capture(tensor(products, [length]))
  return positionScore([], (score, { head, query, key }) =>
    score.add(
      product
        .at(query.sub(key).abs())
        .mul(heads / 8)
        .div(head.add(1)),
    ),
  )
}
