import type { EmbeddingEncoding } from '../encoding.ts'
import { checkOneOf, refused } from '../refuse.ts'
import { embeddingEncoding } from './embedding.ts'
import { sinusoids } from './sinusoidal.ts'

export interface TimestepOptions {
  /** Elements of each vector, an even number. */
  readonly dim: number
  /** `max_period`. Default 10000. */
  readonly base?: number | undefined
  /** Which half comes first; `flip_sin_to_cos` is `cos`. Default `sin`. */
  readonly first?: 'sin' | 'cos' | undefined
  /** `downscale_freq_shift`: frequencies are base^(−i / (dim/2 − shift)). Default 1, as in DDPM; Stable Diffusion and Flux take 0. */
  readonly shift?: number | undefined
  /** Multiplies the timestep. Default 1; 1000 in Flux, whose timesteps run from 0 to 1. */
  readonly scale?: number | undefined
}

/**
 * The sinusoids of a diffusion timestep, a whole number or a fraction: all of one kind, then all of the other. Ho et al.
 * 2020, arXiv:2006.11239, with the options of Hugging Face diffusers.
 */
export function timestep({ dim, base, first = 'sin', shift = 1, scale = 1 }: TimestepOptions): EmbeddingEncoding {
  checkOneOf('timestep', 'first', first, ['sin', 'cos'])
  if (!Number.isFinite(scale)) throw refused('timestep', 'scale', 'a finite number', scale)
  const write = sinusoids({ operation: 'timestep', dim, base, shift, axes: 1, first, interleaved: false })
  return embeddingEncoding({
    operation: 'timestep',
    dim,
    axes: 1,
    write: ([time = NaN], vector) => write([scale * time], vector),
  })
}
