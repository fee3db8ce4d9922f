import { checkPositive } from '../../refuse.ts'
import { rotaryFrequencies } from '../frequencies.ts'
import type { Frequencies, Scaling } from './scaling.ts'

export interface LinearScaling {
  readonly type: 'linear'
  readonly factor: number
}

/** Position interpolation: θ / factor squeezes longer sequences into the trained range. Chen et al. 2023, arXiv:2306.15595. */
export function linearScaling({ dim, base }: Frequencies, { factor }: LinearScaling): Scaling {
  checkPositive('rotary', 'factor', factor)
  const frequencies = rotaryFrequencies(dim, base).map((theta) => theta / factor)
  return { frequencies: () => frequencies, attentionFactor: 1 }
}
