import { slice, splitHeads, type Backend, type Tensor } from '@qkv/core'
import type { Temporaries } from '../temporaries.ts'
import { normalisedHeads } from './heads.ts'
import { fusedRows, type MultiHeadConfig } from './options.ts'
import type { ModuleWeights } from './weights.ts'

/** Keys and values by heads: [batch, kvHeads, length, headDim] and [batch, kvHeads, length, valueDim]. */
export interface KeyValueHeads {
  readonly key: Tensor
  readonly value: Tensor
}

/** What a layer projects vectors to, fused or not; temporaries of the computation that asks. */
export class Projections {
  readonly #backend: Backend
  readonly #config: MultiHeadConfig
  readonly #weights: ModuleWeights

  constructor(backend: Backend, config: MultiHeadConfig, weights: ModuleWeights) {
    this.#backend = backend
    this.#config = config
    this.#weights = weights
  }

  /** Of one input, for self-attention: a fused projection is one product. */
  queryKeyValue(input: Tensor, scope: Temporaries): KeyValueHeads & { readonly query: Tensor } {
    if (!this.#config.fused) {
      const query = this.query(input, scope)
      const { key, value } = this.keyValue(input, scope)
      return { query, key, value }
    }
    const all = this.project('queryKeyValue', input, scope)
    const { query, key, value } = fusedRows(this.#config)
    return {
      query: this.#queryHeads(slice(all, 2, ...query), scope),
      ...this.#keyValueHeads(slice(all, 2, ...key), slice(all, 2, ...value), scope),
    }
  }

  /** [batch, heads, length, headDim] */
  query(input: Tensor, scope: Temporaries): Tensor {
    return this.#queryHeads(this.#part('query', input, scope), scope)
  }

  keyValue(memory: Tensor, scope: Temporaries): KeyValueHeads {
    return this.#keyValueHeads(this.#part('key', memory, scope), this.#part('value', memory, scope), scope)
  }

  /** Through a projection that the weights name: [batch, length, outputs]. */
  project(name: string, input: Tensor, scope: Temporaries): Tensor {
    const { weight, bias } = this.#weights.pair(name)
    return scope.keep(this.#backend.linear(input, weight, bias))
  }

  /** Through one of the three, which may be rows of the fused one. */
  #part(name: 'query' | 'key' | 'value', input: Tensor, scope: Temporaries): Tensor {
    if (!this.#config.fused) return this.project(name, input, scope)
    const { weight, bias } = this.#weights.pair('queryKeyValue')
    const rows = fusedRows(this.#config)[name]
    return scope.keep(this.#backend.linear(input, slice(weight, 0, ...rows), bias && slice(bias, 0, ...rows)))
  }

  #queryHeads(projected: Tensor, scope: Temporaries): Tensor {
    return this.#normalised('queryNorm', projected, this.#config.heads, scope)
  }

  #keyValueHeads(key: Tensor, value: Tensor, scope: Temporaries): KeyValueHeads {
    const { kvHeads } = this.#config
    return { key: this.#normalised('keyNorm', key, kvHeads, scope), value: splitHeads(value, kvHeads) }
  }

  #normalised(name: 'queryNorm' | 'keyNorm', projected: Tensor, heads: number, scope: Temporaries): Tensor {
    const { queryKeyNorm } = this.#config
    if (queryKeyNorm === undefined) return splitHeads(projected, heads)
    return normalisedHeads(this.#backend, projected, heads, { ...queryKeyNorm, ...this.#weights.pair(name) }, scope)
  }
}
