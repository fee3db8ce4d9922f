import { toFloat64, type FloatDtype, type HostTensor } from '@qkv/core'
import type { RotaryEncoding } from '../encoding.ts'
import { checkTable } from '../refuse.ts'
import { rotaryEncoding } from './table.ts'

export interface MixedRotaryOptions {
  /** [heads, axes, pairs], trained: radians per step along each axis. Read at each call. */
  readonly frequencies: HostTensor
  readonly layout?: 'half' | 'interleaved' | undefined
  readonly dtype?: FloatDtype | undefined
}

/**
 * Rotary whose pairs turn with all axes at once, by trained frequencies of each head's own, so that diagonals count as
 * rows and columns do: angle = θˣ·x + θʸ·y. RoPE-Mixed, Heo et al. 2024, arXiv:2403.13298. Its tables have a row for each
 * head.
 */
export function mixedRotary({ frequencies, layout = 'interleaved', dtype }: MixedRotaryOptions): RotaryEncoding {
  const operation = 'mixedRotary'
  const [heads = 0, axes = 0, pairs = 0] = checkTable(operation, 'frequencies', frequencies, ['heads', 'axes', 'pairs'])
  return rotaryEncoding({
    operation,
    dim: 2 * pairs,
    layout,
    dtype,
    axes,
    heads,
    frequencies: () => toFloat64(frequencies),
    trained: frequencies,
  })
}
