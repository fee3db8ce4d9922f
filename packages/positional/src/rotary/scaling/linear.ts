import { rotaryFrequencies } from '../frequencies.ts'
import { positive, type Frequencies, type Scaling } from './scaling.ts'

export interface LinearScaling {
  readonly type: 'linear'
  readonly factor: number
}

/** Position interpolation: θ / factor squeezes longer sequences into the trained range. Chen et al. 2023, arXiv:2306.15595. */
export function linearScaling({ dim, base }: Frequencies, options: LinearScaling): Scaling {
  const factor = positive(options, 'factor')
  const frequencies = rotaryFrequencies(dim, base).map((theta) => theta / factor)
  return { frequencies: () => frequencies }
}
