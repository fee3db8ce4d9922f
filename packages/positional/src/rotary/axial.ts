import type { RotaryEncoding } from '../encoding.ts'
import { checkEven, checkOneOf } from '../refuse.ts'
import { oneAxisEach, rotaryFrequencies } from './frequencies.ts'
import type { RotaryShape } from './rotary.ts'
import { rotaryEncoding } from './table.ts'

export interface AxialRotaryOptions extends Omit<RotaryShape, 'dim'> {
  /** How many elements turn with each axis of the position, even numbers: [32, 32] for images, [16, 56, 56] in Flux. */
  readonly dims: readonly number[]
  /**
   * Where an axis takes its frequencies from: `own` (the default; EVA-02, SAM 2, Flux, Llama 4 and Qwen vision) the whole
   * range over its own dim; `dealt` (Pixtral) its turn of the range over all elements, as cards are dealt, for equal dims.
   */
  readonly frequencies?: 'own' | 'dealt' | undefined
}

/**
 * Rotary over the axes of an image or video: a part of each vector turns with the row, another with the column, … Heo et
 * al. 2024, arXiv:2403.13298, and Fang et al. 2023, arXiv:2303.11331. Positions are [axes, batch, length];
 * `gridPositions` makes them.
 */
export function axialRotary({ dims, base, layout = 'half', frequencies = 'own', dtype }: AxialRotaryOptions): RotaryEncoding {
  const operation = 'axialRotary'
  dims.forEach((dim, axis) => checkEven(operation, `dims[${axis}]`, dim))
  checkOneOf(operation, 'frequencies', frequencies, dims.every((dim) => dim === dims[0]) ? ['own', 'dealt'] : ['own'])
  const axes = dims.length
  const dim = checkEven(
    operation,
    'dims',
    dims.reduce((sum, size) => sum + size, 0),
  )
  const whole = rotaryFrequencies(dim, base, operation)
  const theta = dims.flatMap((size, axis) => [
    ...(frequencies === 'own' ? rotaryFrequencies(size, base) : whole.filter((_, pair) => pair % axes === axis)),
  ])
  const axisOfPair = dims.flatMap((size, axis) => new Array<number>(size / 2).fill(axis))
  const matrix = oneAxisEach(Float64Array.from(theta), axisOfPair, axes)
  return rotaryEncoding({ operation, dim, layout, dtype, axes, frequencies: () => matrix })
}
