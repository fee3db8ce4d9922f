import type { RotaryEncoding } from '../encoding.ts'
import { checkOneOf, refused } from '../refuse.ts'
import { oneAxisEach } from './frequencies.ts'
import { scalingOf, type RotaryOptions } from './rotary.ts'
import { rotaryEncoding } from './table.ts'

export type MultimodalRotaryOptions = RotaryOptions & {
  /** How many pairs turn with each axis of the position (time, height, width), `mrope_section`; they add up to dim/2. */
  readonly sections: readonly number[]
  /**
   * Which pairs: `chunked` (the default, Qwen2-VL, GLM-4V, HunYuan) gives each axis its pairs in a row; `interleaved`
   * (Qwen3-VL) deals them out t h w t h w …, the rest to the first axis; `spatial-first` (Ernie 4.5 VL) alternates the
   * second and third axes, h w h w …, and gives the last pairs to the first.
   */
  readonly order?: 'chunked' | 'interleaved' | 'spatial-first' | undefined
}

/**
 * Rotary for text among images and video: positions have several numbers, and each pair turns with one of them. Tokens
 * of text have equal numbers, for which this is plain rotary. Positions are [axes, batch, length]. Wang et al. 2024,
 * arXiv:2409.12191 (Qwen2-VL).
 */
export function multimodalRotary(options: MultimodalRotaryOptions): RotaryEncoding {
  const operation = 'multimodalRotary'
  const { dim, sections, order = 'chunked', layout = 'half', dtype } = options
  const axes = sections.length
  const scaling = scalingOf(options, operation)
  checkOneOf(operation, 'order', order, Object.keys(orders))
  if (sum(sections) !== dim / 2 || !sections.every((section) => Number.isInteger(section) && section >= 0)) {
    throw refused(operation, 'sections', `whole numbers that add up to dim / 2, ${dim / 2}`, sections)
  }
  const axisOfPair = Array.from({ length: dim / 2 }, (_, pair) => orders[order](pair, sections))
  const frequencies = (contextLength: number): Float64Array => oneAxisEach(scaling.frequencies(contextLength), axisOfPair, axes)
  return rotaryEncoding({ operation, dim, layout, dtype, axes, ...scaling, frequencies })
}

/** The axis that a pair turns with. */
const orders: Readonly<
  Record<NonNullable<MultimodalRotaryOptions['order']>, (pair: number, sections: readonly number[]) => number>
> = {
  chunked: (pair, sections) => {
    let end = 0
    return sections.findIndex((section) => pair < (end += section))
  },
  interleaved: (pair, sections) => {
    const axis = pair % sections.length
    return pair < sections[axis]! * sections.length ? axis : 0
  },
  'spatial-first': (pair, [, ...spatial]) => (pair < sum(spatial) ? 1 + (pair % spatial.length) : 0),
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0)
}
