import { slice, type Backend, type Tensor } from '@qkv/core'
import { Life } from '../../life.ts'
import { checkWhole } from '../../refuse.ts'
import { temporaries } from '../../temporaries.ts'
import type { AttentionCache, CachedKeys, CacheState } from '../cache.ts'
import { checkRestored } from '../checks.ts'
import type { CacheLayout } from '../layout.ts'
import { checkAppended, copyStored, part, readStored, store, type StoredKeys } from '../memory.ts'
import { unchanged } from '../reindex.ts'
import type { PagePool } from './page-pool.ts'

export interface PagedCacheOptions {
  readonly pool: PagePool
  /** Begins with what the pool remembers of these tokens but the last, which is left to ask with; `length` says how many. */
  readonly tokens?: ArrayLike<number> | undefined
}

/**
 * One sequence in pages of a pool. A fork costs nothing until one of the two writes to a page they share: then that page
 * is copied.
 *
 *     const pool = new PagePool({ backend, heads: 8, headDim: 128, pages: 1024 })
 *     const cache = new PagedCache({ pool, tokens: prompt })     // prompt.slice(cache.length) is still to be computed
 *     …
 *     cache.remember(prompt)                                     // for the next prompt that begins alike
 */
export class PagedCache implements AttentionCache {
  readonly pool: PagePool
  readonly #life = new Life('PagedCache', 'cache')
  #pages: number[]
  #length: number

  constructor({ pool, tokens = [] }: PagedCacheOptions) {
    this.pool = pool
    this.#pages = pool.recall(Array.from(tokens).slice(0, -1))
    this.#length = this.#pages.length * pool.pageSize
  }

  get backend(): Backend {
    return this.pool.backend
  }

  get layout(): CacheLayout {
    return this.pool.layout
  }

  get length(): number {
    return this.#length
  }

  /** The pages held, in order. */
  get pages(): readonly number[] {
    this.#life.check()
    return this.#pages
  }

  /** The pages held; those that are shared count for each. */
  get byteLength(): number {
    return (this.#pages.length * this.pool.byteLength) / this.pool.pages
  }

  async append(key: Tensor, value: Tensor): Promise<void> {
    this.#life.check()
    const count = checkAppended('append', this.layout, key, value)
    this.#write(count, (page, first, end) => store(this.backend, slice(key, 2, first, end), slice(value, 2, first, end), page))
  }

  truncate(length: number): void {
    this.#life.check()
    checkWhole('truncate', 'length', [length], 0, this.#length)
    this.#length = length
    for (const page of this.#pages.splice(Math.ceil(length / this.pool.pageSize))) this.pool.give(page)
  }

  fork(): PagedCache {
    this.#life.check()
    const fork = new PagedCache({ pool: this.pool })
    this.#pages.forEach((page) => this.pool.hold(page))
    fork.#pages = [...this.#pages]
    fork.#length = this.#length
    return fork
  }

  /** Keeps the full pages in the pool for sequences that begin with the same tokens. @param tokens of this sequence */
  remember(tokens: ArrayLike<number>): void {
    this.#life.check()
    this.pool.remember(tokens, this.#pages.slice(0, Math.floor(this.#length / this.pool.pageSize)))
  }

  /** Seen where they lie if their pages follow one another; else pages gathered in order, one copy. */
  keys(): CachedKeys {
    this.#life.check()
    const [first = 0] = this.#pages
    if (this.#pages.every((page, index) => page === first + index))
      return { ...this.pool.page(first, [0, this.#length]), mask: undefined, reindex: unchanged, dispose: () => {} }
    const made = temporaries()
    const gathered = part(this.pool.gather([this.#pages], made), [0, this.#length])
    return { ...gathered, mask: undefined, reindex: unchanged, dispose: made.dispose }
  }

  async save(): Promise<CacheState> {
    const keys = this.keys()
    try {
      return { kind: 'paged', layout: this.layout, length: this.#length, stored: await readStored(this.backend, keys) }
    } finally {
      keys.dispose()
    }
  }

  restore(state: CacheState): void {
    this.#life.check()
    checkRestored(state, 'paged', this.layout)
    this.truncate(0)
    this.#write(state.length, (page, first, end) => copyStored(this.backend, part(state.stored, [first, end]), page))
  }

  dispose(): void {
    if (!this.#life.end()) return
    for (const page of this.#pages.splice(0)) this.pool.give(page)
    this.#length = 0
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Takes pages for `count` more tokens first, all or none, and then has tokens `first ≤ token < end` of them written. */
  #write(count: number, writeRows: (page: StoredKeys, first: number, end: number) => void): void {
    const { pool } = this
    const { pageSize } = pool
    const pages = [...this.#pages]
    const taken: number[] = []
    const take = (make: () => number): number => {
      const page = make()
      taken.push(page)
      return page
    }
    const used = this.#length % pageSize
    const last = pages.at(-1)
    try {
      if (count > 0 && used > 0 && last !== undefined && pool.isShared(last)) {
        pages[pages.length - 1] = take(() => pool.copyPage(last, used))
      }
      while (pages.length * pageSize < this.#length + count) pages.push(take(() => pool.take(pages.at(-1))))
    } catch (error) {
      taken.forEach((page) => pool.give(page))
      throw error
    }
    if (last !== undefined && pages[this.#pages.length - 1] !== last) pool.give(last)
    for (let written = 0; written < count;) {
      const at = this.#length + written
      const from = at % pageSize
      const rows = Math.min(pageSize - from, count - written)
      writeRows(pool.page(pages[Math.floor(at / pageSize)]!, [from, from + rows]), written, written + rows)
      written += rows
    }
    this.#pages = pages
    this.#length += count
  }
}
