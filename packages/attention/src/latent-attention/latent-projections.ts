import { broadcastTo, permute, slice, splitHeads, type Backend, type Tensor } from '@qkv/core'
import type { ModuleWeights } from '../weights.ts'
import type { Temporaries } from '../temporaries.ts'
import type { LatentConfig } from './options.ts'

/** A latent vector for each token, before its norm and after it. */
export interface Latent {
  readonly before: Tensor
  readonly after: Tensor
}

/** [batch, heads, length, contentDim + rotaryDim], not yet rotated, and the latent vectors they came from, if there are any. */
export interface LatentQueries {
  readonly query: Tensor
  readonly latent: Latent | undefined
}

/** [batch, 1, length, rotaryDim], not yet rotated, and [batch, length, latentDim]. */
export interface LatentKeys {
  readonly sharedKey: Tensor
  readonly latent: Latent
}

/** What a latent layer projects vectors to, step by step; temporaries of the computation that asks. */
export class LatentProjections {
  readonly #backend: Backend
  readonly #config: LatentConfig
  readonly #weights: Pick<ModuleWeights, 'pair'>

  constructor(backend: Backend, config: LatentConfig, weights: Pick<ModuleWeights, 'pair'>) {
    this.#backend = backend
    this.#config = config
    this.#weights = weights
  }

  queries(input: Tensor, scope: Temporaries): LatentQueries {
    const { heads, queryLatentDim } = this.#config
    if (queryLatentDim === undefined) {
      return { query: splitHeads(this.#project('query', input, scope), heads), latent: undefined }
    }
    const latent = this.#normalised('queryNorm', this.#project('queryDown', input, scope), scope)
    return { query: splitHeads(this.#project('queryUp', latent.after, scope), heads), latent }
  }

  keys(input: Tensor, scope: Temporaries): LatentKeys {
    const { latentDim, rotaryDim } = this.#config
    const compressed = this.#project('latent', input, scope)
    return {
      sharedKey: splitHeads(slice(compressed, 2, latentDim, latentDim + rotaryDim), 1),
      latent: this.#normalised('latentNorm', slice(compressed, 2, 0, latentDim), scope),
    }
  }

  /**
   * What attention reads when each head has keys and values of its own. The elements that rotate come first, as a rotary
   * encoding of fewer elements than a head has expects them.
   */
  spelledOut(
    { query }: LatentQueries,
    { sharedKey, latent }: LatentKeys,
    scope: Temporaries,
  ): Record<'query' | 'key' | 'value', Tensor> {
    const { heads, contentDim, rotaryDim, valueDim } = this.#config
    const keyValue = splitHeads(this.#project('keyValue', latent.after, scope), heads)
    const turning = slice(query, 3, contentDim, contentDim + rotaryDim)
    return {
      query: sideBySide(this.#backend, heads, [turning, slice(query, 3, 0, contentDim)], scope),
      key: sideBySide(this.#backend, heads, [sharedKey, slice(keyValue, 3, 0, contentDim)], scope),
      value: slice(keyValue, 3, contentDim, contentDim + valueDim),
    }
  }

  #project(name: string, input: Tensor, scope: Temporaries): Tensor {
    return scope.keep(this.#backend.linear(input, this.#weights.pair(name).weight))
  }

  #normalised(name: string, before: Tensor, scope: Temporaries): Latent {
    return { before, after: scope.keep(this.#backend.rmsNorm(before, this.#weights.pair(name).weight, this.#config.epsilon)) }
  }
}

/** Vectors [batch, heads or 1, length, …] of each part one after the other, which lie as [batch, length, heads, …] in memory. */
export function sideBySide(backend: Backend, heads: number, parts: readonly [Tensor, ...Tensor[]], scope: Temporaries): Tensor {
  const [{ shape, dtype }] = parts
  const [batch = 0, , length = 0] = shape
  const width = parts.reduce((sum, part) => sum + (part.shape[3] ?? 0), 0)
  const together = permute(scope.keep(backend.empty([batch, length, heads, width], dtype)), [0, 2, 1, 3])
  let start = 0
  for (const part of parts) {
    const end = start + (part.shape[3] ?? 0)
    backend.copy(broadcastTo(part, [batch, heads, length, end - start]), slice(together, 3, start, end))
    start = end
  }
  return together
}
