import { refused } from '../../refuse.ts'
import { rotaryFrequencies } from '../frequencies.ts'
import { positive, type Frequencies, type Scaling } from './scaling.ts'

export interface YarnScaling {
  readonly type: 'yarn'
  readonly factor: number
  /** The trained length. */
  readonly original_max_position_embeddings: number
  /** Pairs that turn more often than this within the trained length keep their frequency. Default 32. */
  readonly beta_fast?: number | undefined
  /** Pairs that turn less often than this are slowed by the whole factor. Default 1. */
  readonly beta_slow?: number | undefined
  /** Given, it replaces what follows from `mscale`, `mscale_all_dim` and the factor. */
  readonly attention_factor?: number | undefined
  readonly mscale?: number | undefined
  readonly mscale_all_dim?: number | undefined
  /** Whether the ramp between the two begins and ends at whole pairs. Default true. */
  readonly truncate?: boolean | undefined
}

/**
 * YaRN: fast pairs keep θ, slow ones get θ / s, with a linear ramp over the pair's number between them; queries and keys
 * grow by 0.1·ln s + 1 against the flattening of long softmaxes. Peng et al. 2023, arXiv:2309.00071.
 *
 * With `mscale` and `mscale_all_dim` (DeepSeek) the factor is m(mscale) / m(mscale_all_dim), m(x) = 0.1·x·ln s + 1.
 */
export function yarnScaling({ dim, base = 10000 }: Frequencies, options: YarnScaling): Scaling {
  const s = positive(options, 'factor')
  const L = positive(options, 'original_max_position_embeddings')
  const fast = positive(options, 'beta_fast', 32)
  const slow = positive(options, 'beta_slow', 1)
  if (fast < slow) throw refused('rotary', 'beta_fast', `at least beta_slow, ${slow}`, fast)

  /** The pair, as a fraction, that turns so many times within the trained length. */
  const pairOf = (turns: number): number => (dim * Math.log(L / (2 * Math.PI * turns))) / (2 * Math.log(base))
  const whole = options.truncate ?? true
  const low = Math.max(0, whole ? Math.floor(pairOf(fast)) : pairOf(fast))
  const last = Math.min(dim - 1, whole ? Math.ceil(pairOf(slow)) : pairOf(slow))
  const high = last === low ? low + 0.001 : last

  const frequencies = rotaryFrequencies(dim, base).map((theta, pair) => {
    const ramp = Math.min(1, Math.max(0, (pair - low) / (high - low)))
    return (theta / s) * ramp + theta * (1 - ramp)
  })
  return { frequencies: () => frequencies, attentionFactor: attentionFactor(s, options) }
}

function attentionFactor(s: number, options: YarnScaling): number {
  const { mscale, mscale_all_dim } = options
  const m = (x: number): number => (s > 1 ? 0.1 * x * Math.log(s) + 1 : 1)
  return positive(options, 'attention_factor', mscale && mscale_all_dim ? m(mscale) / m(mscale_all_dim) : m(1))
}
