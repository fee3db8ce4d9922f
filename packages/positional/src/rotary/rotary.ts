import type { FloatDtype } from '@qkv/core'
import type { RotaryEncoding } from '../encoding.ts'
import { checkEven, refused } from '../refuse.ts'
import { rotaryFrequencies } from './frequencies.ts'
import { dynamicScaling, type DynamicScaling } from './scaling/dynamic.ts'
import { linearScaling, type LinearScaling } from './scaling/linear.ts'
import { llama3Scaling, type Llama3Scaling } from './scaling/llama3.ts'
import { longRopeScaling, type LongRopeScaling } from './scaling/longrope.ts'
import { proportionalScaling, type ProportionalScaling } from './scaling/proportional.ts'
import type { Scaling } from './scaling/scaling.ts'
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
  const { dim, layout = 'half', dtype } = options
  return rotaryEncoding({ operation: 'rotary', dim, layout, dtype, ...scalingOf(options, 'rotary') })
}

/** The frequencies and attention factor of a `type`, by Hugging Face's names. */
export function scalingOf(options: RotaryOptions, operation: string): Scaling {
  checkEven(operation, 'dim', options.dim)
  switch (options.type) {
    case undefined:
    case 'default': {
      const frequencies = rotaryFrequencies(options.dim, options.base, operation)
      return { frequencies: () => frequencies }
    }
    case 'linear':
      return linearScaling(options, options)
    case 'dynamic':
      return dynamicScaling(options, options)
    case 'yarn':
      return yarnScaling(options, options)
    case 'longrope':
      return longRopeScaling(options, options)
    case 'llama3':
      return llama3Scaling(options, options)
    case 'proportional':
      return proportionalScaling(options, options)
    default:
      throw refused(
        operation,
        'type',
        'one of default, linear, dynamic, yarn, longrope, llama3, proportional',
        unknownType(options),
      )
  }
}

/** What the types rule out, but JSON may hold. */
function unknownType(options: { readonly type?: unknown }): unknown {
  return options.type
}
