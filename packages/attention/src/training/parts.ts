import type { Tensor } from '@qkv/core'
import type { MultiHeadAttention } from '../multi-head-attention/multi-head-attention.ts'
import { Projections, type PartName } from '../multi-head-attention/projections.ts'

/** One for each of the projections that attention reads. */
export type Parts<T = Tensor> = Readonly<Record<PartName, T>>

export function eachPart<T>(make: (name: PartName) => T): Parts<T> {
  return { query: make('query'), key: make('key'), value: make('value') }
}

/** A layer's projections, step by step, for those who need what lies between the steps. */
export function projectionsOf(layer: MultiHeadAttention): Projections {
  return new Projections(layer.backend, layer.config, {
    pair: (name) => ({ weight: layer.weight(`${name}.weight`)!, bias: layer.weight(`${name}.bias`) }),
  })
}
