import type { Backend } from '@qkv/core'
import { checkBackend, checkCount, refused } from '../refuse.ts'
import { HeldTokens } from './held-tokens.ts'
import { cacheLayout, type CacheOptions } from './layout.ts'

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
  protected readonly visibility = { mask: undefined, reindex: undefined }
  readonly #capacity: number | undefined

  constructor(options: KeyValueCacheOptions) {
    const { backend, capacity } = options
    checkBackend('KeyValueCache', backend)
    if (capacity !== undefined) checkCount('KeyValueCache', 'capacity', capacity)
    super('contiguous', backend, cacheLayout('KeyValueCache', options), capacity ?? 64)
    this.#capacity = capacity
  }

  protected sibling(): KeyValueCache {
    return new KeyValueCache({ ...this.layout, backend: this.backend, capacity: this.#capacity })
  }

  protected makeRoom(count: number): void {
    const { held, rows } = this
    if (this.#capacity === undefined) return this.layOut(Math.max(held + count, 2 * rows), { first: held, last: 0 })
    throw refused('LIMIT_EXCEEDED', 'KeyValueCache', 'tokens', `at most ${rows - held} more, within its capacity`, String(count))
  }
}
