import { refused } from '../../refuse.ts'
import { rotaryFrequencies } from '../frequencies.ts'
import { positive, type Frequencies, type Scaling } from './scaling.ts'

export interface DynamicScaling {
  readonly type: 'dynamic'
  readonly factor: number
  /** The trained length, beyond which the base grows. */
  readonly max_position_embeddings: number
  /** HunYuan's: the base grows by α^(d/(d−2)), whatever the length. */
  readonly alpha?: number | undefined
}

/**
 * Dynamic NTK: a sequence of n tokens beyond the trained length L turns by a larger base,
 * base · (s·n/L − (s − 1))^(d/(d−2)) with s = factor, so that the slowest pair slows by as much as the sequence grew and
 * the fastest stays. As in Hugging Face's `dynamic`, from bloc97 and emozilla.
 *
 * Keys turned while the sequence was shorter turned by another base: tables of one sequence agree only for one
 * `contextLength`.
 */
export function dynamicScaling({ dim, base = 10000 }: Frequencies, options: DynamicScaling): Scaling {
  const s = positive(options, 'factor')
  const L = positive(options, 'max_position_embeddings')
  if (dim < 4) throw refused('rotary', 'dim', 'at least 4 for dynamic scaling', dim)
  const alpha = options.alpha ? positive(options, 'alpha') : undefined
  const frequencies = (contextLength: number): Float64Array => {
    const growth = alpha ?? (s * Math.max(contextLength, L)) / L - (s - 1)
    return rotaryFrequencies(dim, base * growth ** (dim / (dim - 2)))
  }
  return { frequencies, followsLength: alpha === undefined }
}
