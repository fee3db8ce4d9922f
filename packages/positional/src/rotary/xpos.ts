import type { RotaryEncoding } from '../encoding.ts'
import { checkEven, checkPositive } from '../refuse.ts'
import { rotaryFrequencies } from './frequencies.ts'
import type { RotaryShape } from './rotary.ts'
import { rotaryEncoding } from './table.ts'

export interface XposOptions extends RotaryShape {
  /** γ, how many positions it takes to shrink a pair by its ζ once. Default 512. */
  readonly scaleBase?: number | undefined
}

/**
 * Rotary whose scores fade with distance, the fast pairs first: queries grow by ζᵢ^(position/γ) and keys shrink by it,
 *
 *     ζᵢ = (2i/dim + 0.4) / 1.4,
 *
 * so q·k carries ζᵢ^((query − key)/γ), for keys before their query. Sun et al. 2022, arXiv:2212.10554; RetNet.
 *
 * Take the queries' table for queries and the keys' for keys. A factor has to fit into float32: positions that would let
 * it grow or shrink beyond 2^±96, some 27,000 from 0 at the default γ, are refused. Only differences count, so positions
 * may be counted from the middle of a long sequence.
 */
export function xpos({ dim, base, layout = 'interleaved', dtype, scaleBase = 512 }: XposOptions): RotaryEncoding {
  const operation = 'xpos'
  checkPositive(operation, 'scaleBase', scaleBase)
  const frequencies = rotaryFrequencies(checkEven(operation, 'dim', dim), base, operation)
  const growth = frequencies.map((_, pair) => Math.log(((2 * pair) / dim + 0.4) / 1.4) / scaleBase)
  const largest = Math.min(2 ** 24, Math.floor((96 * Math.LN2) / -growth[0]!))
  return rotaryEncoding({ operation, dim, layout, dtype, frequencies: () => frequencies, growth, largest })
}
