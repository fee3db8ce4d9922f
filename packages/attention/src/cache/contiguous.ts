import type { Backend } from '@qkv/core'
import { checkBackend, checkCount } from '../refuse.ts'
import type { CachedKeys } from './cache.ts'
import { HeldTokens } from './held-tokens.ts'
import { cacheLayout, type CacheOptions } from './layout.ts'
import { unchanged } from './reindex.ts'

export interface KeyValueCacheOptions extends CacheOptions {
  readonly backend: Backend
  /** How many tokens it holds at most, all allocated now. Left out, it grows by doubling. */
  readonly capacity?: number | undefined
}

/**
 * All tokens one after another: the plain cache.
 *
 *     using cache = new KeyValueCache({ backend, heads: 8, headDim: 128, dtype: 'float16' })
 *     await cache.append(key, value)
 *     const { output } = await cachedAttention(query, cache)
 */
export class KeyValueCache extends HeldTokens {
  protected readonly shortest = 0
  protected readonly reach = {}
  protected readonly visibility: Pick<CachedKeys, 'mask' | 'reindex'> = { mask: undefined, reindex: unchanged }
  readonly #capacity: number | undefined

  constructor(options: KeyValueCacheOptions) {
    const { backend, capacity } = options
    checkBackend('KeyValueCache', backend)
    if (capacity !== undefined) checkCount('KeyValueCache', 'capacity', capacity)
    super('contiguous', backend, cacheLayout('KeyValueCache', options), capacity)
    this.#capacity = capacity
  }

  fork(): KeyValueCache {
    return this.forkInto(() => new KeyValueCache({ ...this.layout, backend: this.backend, capacity: this.#capacity }))
  }

  protected get growing(): boolean {
    return this.#capacity === undefined
  }
}
