import { maskMod } from '../expression/build.ts'
import type { MaskMod } from '../expression/node.ts'
import type { Alignment } from '../problem.ts'

/** A query sees the keys up to its own position; `'upper-left'`: the keys up to its own row. */
export function causal(alignment: Alignment = 'lower-right'): MaskMod {
  return maskMod(({ query, row, key }) => key.le(alignment === 'upper-left' ? row : query))
}
