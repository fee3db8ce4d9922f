import { refused } from '../../refuse.ts'
import { rotaryFrequencies } from '../frequencies.ts'
import { positive, type Frequencies, type Scaling } from './scaling.ts'

export interface ProportionalScaling {
  readonly type: 'proportional'
  /** The share of pairs that turn, from 0 to 1. Default 1. */
  readonly partial_rotary_factor?: number | undefined
  /** Divides the frequencies, as in linear scaling. Default 1. */
  readonly factor?: number | undefined
}

/**
 * p-RoPE: the slowest pairs do not turn at all and so carry content without position. Unlike partial rotary, which spreads
 * the whole range of frequencies over fewer pairs, the others keep the frequencies of the full dim. Barbero et al. 2024,
 * arXiv:2410.06205; Gemma 4.
 */
export function proportionalScaling({ dim, base }: Frequencies, options: ProportionalScaling): Scaling {
  const share = options.partial_rotary_factor ?? 1
  const factor = positive(options, 'factor', 1)
  if (!(share >= 0 && share <= 1)) throw refused('rotary', 'partial_rotary_factor', 'from 0 to 1', share)
  const turning = Math.floor((share * dim) / 2)
  const frequencies = rotaryFrequencies(dim, base).map((theta, pair) => (pair < turning ? theta / factor : 0))
  return { frequencies: () => frequencies }
}
