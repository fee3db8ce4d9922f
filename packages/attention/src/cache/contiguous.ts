import type { Backend, OwnedTensor, Tensor } from '@qkv/core'
import { checkBackend, checkCount, refused } from '../refuse.ts'
import type { AttentionCache, CachedKeys, CacheState } from './cache.ts'
import { checkRestored, checkTruncation, Turn } from './checks.ts'
import { cacheLayout, type CacheLayout, type CacheOptions } from './layout.ts'
import { allocate, byteLength, checkAppended, copyStored, encode, part, readStored, release, type StoredKeys } from './memory.ts'

export interface KeyValueCacheOptions extends CacheOptions {
  readonly backend: Backend
  /** How many tokens it holds at most, all allocated now. Left out, it grows by doubling. */
  readonly capacity?: number | undefined
}

/**
 * All tokens one after another, [batch, heads, capacity, dim]: the plain cache.
 *
 *     const cache = new KeyValueCache({ backend, heads: 8, headDim: 128, dtype: 'float16' })
 *     await cache.append(key, value)
 *     const { output } = await cachedAttention(query, cache)
 */
export class KeyValueCache implements AttentionCache {
  readonly backend: Backend
  readonly layout: CacheLayout
  readonly #capacity: number | undefined
  readonly #turn = new Turn('KeyValueCache')
  #stored: StoredKeys<OwnedTensor>
  #rows: number
  #length = 0

  constructor(options: KeyValueCacheOptions) {
    checkBackend('KeyValueCache', options.backend)
    if (options.capacity !== undefined) checkCount('KeyValueCache', 'capacity', options.capacity)
    this.backend = options.backend
    this.layout = cacheLayout('KeyValueCache', options)
    this.#capacity = options.capacity
    this.#rows = options.capacity ?? 64
    this.#stored = allocate(this.backend, this.layout, this.layout.batch, this.#rows)
  }

  get length(): number {
    return this.#length
  }

  get byteLength(): number {
    return this.#turn.disposed ? 0 : byteLength(this.#stored)
  }

  append(key: Tensor, value: Tensor): Promise<void> {
    return this.#turn.take(async () => {
      const count = checkAppended('KeyValueCache.append', this.layout, key, value)
      const length = this.#length + count
      if (this.#capacity !== undefined && length > this.#capacity) {
        throw refused(
          'LIMIT_EXCEEDED',
          'KeyValueCache.append',
          'key',
          `at most ${this.#capacity - this.#length} more tokens`,
          `${count}`,
        )
      }
      const encoded = await encode(this.backend, this.layout, key, value)
      if (length > this.#rows) this.#grow(Math.max(length, 2 * this.#rows))
      copyStored(this.backend, encoded, part(this.#stored, [this.#length, length]))
      this.#length = length
    })
  }

  truncate(length: number): void {
    this.#turn.check()
    checkTruncation('KeyValueCache', length, 0, this.#length)
    this.#length = length
  }

  fork(): KeyValueCache {
    this.#turn.check()
    const fork = new KeyValueCache({ ...this.layout, backend: this.backend, capacity: this.#capacity })
    if (this.#length > fork.#rows) fork.#grow(this.#rows)
    fork.#length = this.#length
    copyStored(this.backend, this.#held(), fork.#held())
    return fork
  }

  keys(): CachedKeys {
    this.#turn.check()
    return { ...this.#held(), mask: undefined, reindex: undefined, dispose: () => {} }
  }

  async save(): Promise<CacheState> {
    this.#turn.check()
    const { layout, length } = this
    return { kind: 'contiguous', layout, length, stored: await readStored(this.backend, this.#held()) }
  }

  restore(state: CacheState): void {
    this.#turn.check()
    checkRestored('KeyValueCache.restore', state, 'contiguous', this.layout, this.#capacity)
    this.#length = 0
    if (state.length > this.#rows) this.#grow(state.length)
    this.#length = state.length
    copyStored(this.backend, state.stored, this.#held())
  }

  dispose(): void {
    if (this.#turn.end()) release(this.#stored)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #held(): StoredKeys {
    return part(this.#stored, [0, this.#length])
  }

  #grow(rows: number): void {
    const grown = allocate(this.backend, this.layout, this.layout.batch, rows)
    copyStored(this.backend, this.#held(), part(grown, [0, this.#length]))
    release(this.#stored)
    this.#stored = grown
    this.#rows = rows
  }
}
