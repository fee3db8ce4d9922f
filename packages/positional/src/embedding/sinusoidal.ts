import type { EmbeddingEncoding } from '../encoding.ts'
import { checkCount, checkEven, checkOneOf, checkPositive, refused } from '../refuse.ts'
import { embeddingEncoding, type Embedding } from './embedding.ts'

export interface SinusoidalOptions {
  /** Elements of each vector; each axis gets an equal, even part of them. */
  readonly dim: number
  /** Default 10000. */
  readonly base?: number | undefined
  /** `interleaved` (the default, the paper's): sin, cos, sin, cos, …; `concatenated`: all sines, then all cosines. */
  readonly layout?: 'interleaved' | 'concatenated' | undefined
  /**
   * Frequencies are base^(−i / (dim/2 − shift)): 0 (the default) in the paper and MAE, 1 in tensor2tensor, fairseq, Marian and
   * Whisper.
   */
  readonly shift?: number | undefined
  /** How many numbers make a position: 2 for the patches of an image, each with its own part of the vector. Default 1. */
  readonly axes?: number | undefined
}

/**
 * Sines and cosines of position · frequency, added to the inputs:
 *
 *     e[2i] = sin(p · base^(−2i/dim)),   e[2i + 1] = cos(p · base^(−2i/dim)).
 *
 * Vaswani et al. 2017, arXiv:1706.03762; for two axes He et al. 2021, arXiv:2111.06377.
 */
export function sinusoidal({ dim, base, layout = 'interleaved', shift, axes = 1 }: SinusoidalOptions): EmbeddingEncoding {
  const operation = 'sinusoidal'
  checkOneOf(operation, 'layout', layout, ['interleaved', 'concatenated'])
  const write = sinusoids({ operation, dim, base, shift, axes, first: 'sin', interleaved: layout === 'interleaved' })
  return embeddingEncoding({ operation, dim, axes, write })
}

export interface Sinusoids {
  readonly operation: string
  readonly dim: number
  readonly base: number | undefined
  readonly shift: number | undefined
  readonly axes: number
  /** Which of the two comes first. */
  readonly first: 'sin' | 'cos'
  readonly interleaved: boolean
}

/** What writes the sinusoids of a position into its vector. */
export function sinusoids({ operation, dim, base = 10000, shift = 0, axes, first, interleaved }: Sinusoids): Embedding['write'] {
  checkCount(operation, 'axes', axes)
  const part = checkEven(operation, axes === 1 ? 'dim' : 'dim / axes', dim / axes)
  const half = part / 2
  checkPositive(operation, 'base', base)
  if (!(shift >= 0 && (shift < half || half === 1))) throw refused(operation, 'shift', `from 0 to less than ${half}`, shift)
  // A single frequency is 1 whatever it would be divided by.
  const frequencies = Array.from({ length: half }, (_, i) => (i === 0 ? 1 : base ** (-i / (half - shift))))
  const [leading, trailing] = first === 'sin' ? [Math.sin, Math.cos] : [Math.cos, Math.sin]
  const [step, gap] = interleaved ? [2, 1] : [1, half]
  return (position, vector) =>
    position.forEach((p, axis) =>
      frequencies.forEach((frequency, i) => {
        vector[axis * part + i * step] = leading(p * frequency)
        vector[axis * part + i * step + gap] = trailing(p * frequency)
      }),
    )
}
