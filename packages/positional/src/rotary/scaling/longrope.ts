import { checkPositive, refused } from '../../refuse.ts'
import { rotaryFrequencies } from '../frequencies.ts'
import { positive, type Frequencies, type Scaling } from './scaling.ts'

export interface LongRopeScaling {
  readonly type: 'longrope'
  /** One divisor per pair, for sequences within the trained length. */
  readonly short_factor: readonly number[]
  /** One divisor per pair, for longer ones. */
  readonly long_factor: readonly number[]
  /** The trained length, where the one gives way to the other. */
  readonly original_max_position_embeddings: number
  /** How much longer sequences may become; sets the attention factor unless that is given. */
  readonly factor?: number | undefined
  /** The length that may be reached; `factor` defaults to its ratio to the trained length. */
  readonly max_position_embeddings?: number | undefined
  readonly attention_factor?: number | undefined
}

/**
 * LongRoPE: each pair's θ is divided by a factor of its own, found by search; queries and keys grow by
 * √(1 + ln s / ln L). Ding et al. 2024, arXiv:2402.13753; Phi-3 and later.
 *
 * Where a sequence outgrows the trained length, all frequencies change, and keys cached before no longer fit. Pass the
 * length that will be reached as `contextLength` to use the long factors from the start.
 */
export function longRopeScaling({ dim, base }: Frequencies, options: LongRopeScaling): Scaling {
  const L = positive(options, 'original_max_position_embeddings')
  const divided = (name: 'short_factor' | 'long_factor'): Float64Array => {
    const factors = options[name]
    if (!Array.isArray(factors) || factors.length !== dim / 2) {
      throw refused('rotary', name, `${dim / 2} numbers, one for each pair`, factors)
    }
    return rotaryFrequencies(dim, base).map((theta, pair) => theta / checkPositive('rotary', `${name}[${pair}]`, factors[pair]!))
  }
  const short = divided('short_factor')
  const long = divided('long_factor')
  return {
    frequencies: (contextLength) => (contextLength > L ? long : short),
    followsLength: true,
    attentionFactor: attentionFactor(L, options),
  }
}

function attentionFactor(L: number, options: LongRopeScaling): number {
  const s = positive(options, 'factor', (options.max_position_embeddings ?? L) / L)
  return positive(options, 'attention_factor', s > 1 ? Math.sqrt(1 + Math.log(s) / Math.log(L)) : 1)
}
