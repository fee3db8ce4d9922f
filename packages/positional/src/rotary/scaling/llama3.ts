import { refused } from '../../refuse.ts'
import { rotaryFrequencies } from '../frequencies.ts'
import { positive, type Frequencies, type Scaling } from './scaling.ts'

export interface Llama3Scaling {
  readonly type: 'llama3'
  readonly factor: number
  /** Pairs that turn less often than this within the trained length are slowed by the whole factor. */
  readonly low_freq_factor: number
  /** Pairs that turn more often than this keep their frequency. */
  readonly high_freq_factor: number
  /** The trained length. */
  readonly original_max_position_embeddings: number
}

/**
 * Llama 3.1: as YaRN, but the ramp between θ / s and θ is linear in the number of turns L / λ that a pair of wavelength
 * λ = 2π/θ makes within the trained length L. Llama team 2024, arXiv:2407.21783 and the reference code.
 */
export function llama3Scaling({ dim, base }: Frequencies, options: Llama3Scaling): Scaling {
  const s = positive(options, 'factor')
  const low = positive(options, 'low_freq_factor')
  const high = positive(options, 'high_freq_factor')
  const L = positive(options, 'original_max_position_embeddings')
  if (high <= low) throw refused('rotary', 'high_freq_factor', `above low_freq_factor, ${low}`, high)
  const frequencies = rotaryFrequencies(dim, base).map((theta) => {
    const turns = (L * theta) / (2 * Math.PI)
    const ramp = Math.min(1, Math.max(0, (turns - low) / (high - low)))
    return (1 - ramp) * (theta / s) + ramp * theta
  })
  return { frequencies: () => frequencies }
}
