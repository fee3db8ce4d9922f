import { slice, splitHeads, type Backend, type OwnedTensor, type Tensor } from '@qkv/core'
import type { Temporaries } from '../temporaries.ts'
import { normalisedHeads } from './heads.ts'
import { fusedRows, type MultiHeadConfig } from './options.ts'
import type { ModuleWeights, WeightAndBias } from '../weights.ts'

/** Keys and values by heads: [batch, kvHeads, length, headDim] and [batch, kvHeads, length, valueDim]. */
export interface KeyValueHeads {
  readonly key: Tensor
  readonly value: Tensor
}

/** The projections that attention reads. */
export type PartName = 'query' | 'key' | 'value'

export type ProjectionName = PartName | 'gate' | 'output'

/** What a layer projects vectors to, fused or not; temporaries of the computation that asks. */
export class Projections {
  readonly #backend: Backend
  readonly #config: MultiHeadConfig
  readonly #weights: Pick<ModuleWeights, 'pair'>

  constructor(backend: Backend, config: MultiHeadConfig, weights: Pick<ModuleWeights, 'pair'>) {
    this.#backend = backend
    this.#config = config
    this.#weights = weights
  }

  /** Of one input, for self-attention: a fused projection is one product. */
  queryKeyValue(input: Tensor, scope: Temporaries): KeyValueHeads & { readonly query: Tensor } {
    if (!this.#config.fused) return { query: this.query(input, scope), ...this.keyValue(input, scope) }
    const all = this.project('queryKeyValue', input, scope)
    const rows = fusedRows(this.#config)
    const part = (name: PartName): Tensor => this.heads(name, slice(all, 2, ...rows[name]), scope)
    return { query: part('query'), key: part('key'), value: part('value') }
  }

  /** [batch, heads, length, headDim] */
  query(input: Tensor, scope: Temporaries): Tensor {
    return this.heads('query', this.project('query', input, scope), scope)
  }

  keyValue(memory: Tensor, scope: Temporaries): KeyValueHeads {
    const part = (name: PartName): Tensor => this.heads(name, this.project(name, memory, scope), scope)
    return { key: part('key'), value: part('value') }
  }

  /** [batch, length, outputs] */
  project(name: ProjectionName | 'queryKeyValue', input: Tensor, scope: Temporaries): OwnedTensor {
    const { weight, bias } = this.pair(name)
    return scope.keep(this.#backend.linear(input, weight, bias))
  }

  /** A projection's own weights, or its rows of the fused ones. */
  pair(name: ProjectionName | 'queryKeyValue'): WeightAndBias {
    const parts: Partial<Record<typeof name, [number, number]>> = this.#config.fused ? fusedRows(this.#config) : {}
    const rows = parts[name]
    if (rows === undefined) return this.#weights.pair(name)
    const { weight, bias } = this.#weights.pair('queryKeyValue')
    return { weight: slice(weight, 0, ...rows), bias: bias && slice(bias, 0, ...rows) }
  }

  /** What was projected, [batch, length, heads·dim], as [batch, heads, length, dim], normalised where the layer does that. */
  heads(name: PartName, projected: Tensor, scope: Temporaries): Tensor {
    const { heads, kvHeads, queryKeyNorm } = this.#config
    const count = name === 'query' ? heads : kvHeads
    if (name === 'value' || queryKeyNorm === undefined) return splitHeads(projected, count)
    return normalisedHeads(this.#backend, projected, count, { ...queryKeyNorm, ...this.#weights.pair(`${name}Norm`) }, scope)
  }
}
