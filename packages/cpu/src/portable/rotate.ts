import { broadcastTo, type HostTensor, type RotaryTable } from '@qkv/core'
import { forEachRow, loadRow, storeRow } from './rows.ts'

/** A rotary table over typed arrays. */
export interface HostRotaryTable extends RotaryTable {
  readonly cos: HostTensor
  readonly sin: HostTensor
}

/**
 * Turns pairs of elements by the table's angles: (x, y) becomes (x·cos − y·sin, y·cos + x·sin). Su et al., RoFormer (2021).
 */
export function rotate(input: HostTensor, { cos, sin, layout, dim }: HostRotaryTable, output: HostTensor): void {
  const half = dim / 2
  const angles = [...input.shape.slice(0, -1), half]
  const [cosines, sines] = [broadcastTo(cos, angles), broadcastTo(sin, angles)]
  const row = new Float64Array(input.shape.at(-1)!)
  const c = new Float64Array(half)
  const s = new Float64Array(half)
  const [pairStep, partner] = layout === 'half' ? [1, half] : [2, 1]
  forEachRow(input.shape, [input, cosines, sines, output], ([start = 0, cosStart = 0, sinStart = 0, end = 0]) => {
    loadRow(input, start, row)
    loadRow(cosines, cosStart, c)
    loadRow(sines, sinStart, s)
    for (let pair = 0; pair < half; pair++) {
      const x = row[pair * pairStep]!
      const y = row[pair * pairStep + partner]!
      row[pair * pairStep] = x * c[pair]! - y * s[pair]!
      row[pair * pairStep + partner] = y * c[pair]! + x * s[pair]!
    }
    storeRow(output, end, row)
  })
}
