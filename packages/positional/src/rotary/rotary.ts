import type { FloatDtype } from '@qkv/core'
import type { RotaryEncoding } from '../encoding.ts'
import { checkEven, checkPositive, refused } from '../refuse.ts'
import { rotaryFrequencies } from './frequencies.ts'
import { dynamicScaling, type DynamicScaling } from './scaling/dynamic.ts'
import { linearScaling, type LinearScaling } from './scaling/linear.ts'
import { llama3Scaling, type Llama3Scaling } from './scaling/llama3.ts'
import { longRopeScaling, type LongRopeScaling } from './scaling/longrope.ts'
import { proportionalScaling, type ProportionalScaling } from './scaling/proportional.ts'
import type { Frequencies, Scaling } from './scaling/scaling.ts'
import { yarnScaling, type YarnScaling } from './scaling/yarn.ts'
import { rotaryEncoding } from './table.ts'

/** Scalings keep the names that their parameters have in a model's `config.json`. */
export type RotaryOptions = RotaryShape & RotaryScaling

export interface RotaryShape {
  /** How many elements of each vector rotate, an even number; the rest pass through. */
  readonly dim: number
  /** θᵢ = base^(−2i/dim). Default 10000. */
  readonly base?: number | undefined
  /** Which elements make a pair: `half` (the default) x[i] with x[i + dim/2], `interleaved` x[2i] with x[2i + 1]. */
  readonly layout?: 'half' | 'interleaved' | undefined
  /** What tables are stored in. Default float32, which every backend takes. */
  readonly dtype?: FloatDtype | undefined
}

export type RotaryScaling =
  | { readonly type?: 'default' | undefined }
  | LinearScaling
  | DynamicScaling
  | YarnScaling
  | LongRopeScaling
  | Llama3Scaling
  | ProportionalScaling

/**
 * Rotary position embedding: pair i of each query and key turns by position · θᵢ,
 *
 *     (u, w) → (u·cos − w·sin, w·cos + u·sin),   θᵢ = base^(−2i/dim),
 *
 * so that q·k depends on the difference of their positions alone. Su et al. 2021, arXiv:2104.09864.
 *
 *     const position = rotary({ dim: 128, base: 500000, type: 'llama3', factor: 8, low_freq_factor: 1,
 *       high_freq_factor: 4, original_max_position_embeddings: 8192 })
 *
 * @throws QkvError `OPTION_INVALID` naming an odd dim, an unknown type or a parameter that its scaling cannot take.
 */
export function rotary(options: RotaryOptions): RotaryEncoding {
  const dim = checkEven('rotary', 'dim', options.dim)
  const base = checkPositive('rotary', 'base', options.base ?? 10000)
  const { frequencies, attentionFactor } = scalingOf({ dim, base }, options)
  return rotaryEncoding({
    operation: 'rotary',
    layout: checkLayout('rotary', options.layout ?? 'half'),
    dim,
    axes: 1,
    heads: 1,
    frequencies,
    attentionFactor,
    dtype: options.dtype ?? 'float32',
  })
}

/** The frequencies and attention factor of a `type`, by Hugging Face's names. */
export function scalingOf(pairs: Frequencies, options: RotaryScaling): Scaling {
  switch (options.type) {
    case undefined:
    case 'default': {
      const frequencies = rotaryFrequencies(pairs.dim, pairs.base)
      return { frequencies: () => frequencies, attentionFactor: 1 }
    }
    case 'linear':
      return linearScaling(pairs, options)
    case 'dynamic':
      return dynamicScaling(pairs, options)
    case 'yarn':
      return yarnScaling(pairs, options)
    case 'longrope':
      return longRopeScaling(pairs, options)
    case 'llama3':
      return llama3Scaling(pairs, options)
    case 'proportional':
      return proportionalScaling(pairs, options)
    default:
      throw refused('rotary', 'type', 'one of default, linear, dynamic, yarn, longrope, llama3, proportional', unknownType(options))
  }
}

/** What the types rule out, but JSON may hold. */
function unknownType(options: { readonly type?: unknown }): unknown {
  return options.type
}

export function checkLayout(operation: string, layout: 'half' | 'interleaved'): 'half' | 'interleaved' {
  if (layout === 'half' || layout === 'interleaved') return layout
  throw refused(operation, 'layout', "'half' or 'interleaved'", layout)
}
