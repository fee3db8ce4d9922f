import { slice, splitHeads, type Tensor } from '@qkv/core'
import { normalisedHeads } from '../multi-head-attention/heads.ts'
import type { MultiHeadAttention } from '../multi-head-attention/multi-head-attention.ts'
import { fusedRows } from '../multi-head-attention/options.ts'
import type { Temporaries } from '../temporaries.ts'

export type PartName = 'query' | 'key' | 'value'

/** One for each of the projections that attention reads. */
export type Parts<T = Tensor> = Readonly<Record<PartName, T>>

export function eachPart<T>(make: (name: PartName) => T): Parts<T> {
  return { query: make('query'), key: make('key'), value: make('value') }
}

export interface Projection {
  readonly weight: Tensor
  readonly bias: Tensor | undefined
}

/** A projection's own weights, or its rows of the fused ones. */
export function projectionOf(layer: MultiHeadAttention, name: PartName | 'output' | 'gate'): Projection {
  const { config } = layer
  if (!config.fused || name === 'output' || name === 'gate')
    return { weight: layer.weight(`${name}.weight`)!, bias: layer.weight(`${name}.bias`) }
  const rows = fusedRows(config)[name]
  const [weight, bias] = [layer.weight('queryKeyValue.weight')!, layer.weight('queryKeyValue.bias')]
  return { weight: slice(weight, 0, ...rows), bias: bias && slice(bias, 0, ...rows) }
}

/** [batch, length, heads·dim] as attention takes it, [batch, heads, length, dim], normalised where the layer does that. */
export function headsOf(layer: MultiHeadAttention, name: PartName, projected: Tensor, scope: Temporaries): Tensor {
  const { heads, kvHeads, queryKeyNorm } = layer.config
  const count = name === 'query' ? heads : kvHeads
  if (name === 'value' || queryKeyNorm === undefined) return splitHeads(projected, count)
  const [weight, bias] = [layer.weight(`${name}Norm.weight`)!, layer.weight(`${name}Norm.bias`)]
  return normalisedHeads(layer.backend, projected, count, { ...queryKeyNorm, weight, bias }, scope)
}
