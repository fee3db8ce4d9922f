import type { Tensor } from '@qkv/core'
import type { Layer } from '../layer.ts'
import type { PartName } from '../multi-head-attention/projections.ts'
import type { ModuleWeights } from '../weights.ts'

/** One for each of the projections that attention reads. */
export type Parts<T = Tensor> = Readonly<Record<PartName, T>>

export function eachPart<T>(make: (name: PartName) => T): Parts<T> {
  return { query: make('query'), key: make('key'), value: make('value') }
}

/** A layer's weights, as its projections ask for them: for those who need what lies between the steps. */
export function pairsOf(layer: Layer): Pick<ModuleWeights, 'pair'> {
  return { pair: (name) => ({ weight: layer.weight(`${name}.weight`)!, bias: layer.weight(`${name}.bias`) }) }
}
