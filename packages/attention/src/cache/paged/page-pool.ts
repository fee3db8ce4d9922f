import { reshape, tensor, type Backend, type OwnedTensor } from '@qkv/core'
import { checkBackend, checkCount, refused } from '../../refuse.ts'
import { cacheLayout, type CacheLayout, type CacheOptions } from '../layout.ts'
import type { Temporaries } from '../../temporaries.ts'
import { allocate, byteLength, copyStored, mapStored, part, release, type StoredKeys } from '../memory.ts'
import { PrefixIndex } from './prefix-index.ts'

export interface PagePoolOptions extends Omit<CacheOptions, 'batch'> {
  readonly backend: Backend
  /** How many pages, all allocated now. */
  readonly pages: number
  /** Tokens a page; default 16. */
  readonly pageSize?: number | undefined
}

/**
 * Memory for many sequences in pages of equal size, so that none needs room in one piece or more than its last page too
 * much, and sequences with a common beginning share its pages (Kwon et al., PagedAttention, 2023, arXiv:2309.06180).
 * Pages are counted by how many hold them; a page that only one holds may be written to.
 */
export class PagePool implements Disposable {
  readonly backend: Backend
  readonly layout: CacheLayout
  readonly pageSize: number
  /** [1, heads, pages · pageSize, …]: a page of a head is in one piece, and so are pages that follow one another. */
  readonly #stored: StoredKeys<OwnedTensor>
  readonly #holders: Uint32Array
  readonly #free: number[]
  readonly #prefixes = new PrefixIndex()
  #disposed = false

  constructor(options: PagePoolOptions) {
    const { backend, pages, pageSize = 16 } = options
    checkBackend('PagePool', backend)
    checkCount('PagePool', 'pages', pages)
    checkCount('PagePool', 'pageSize', pageSize)
    this.backend = backend
    this.pageSize = pageSize
    this.layout = cacheLayout('PagePool', { ...options, batch: 1 })
    this.#stored = allocate(backend, this.layout, 1, pages * pageSize)
    this.#holders = new Uint32Array(pages)
    this.#free = Array.from({ length: pages }, (_, page) => pages - 1 - page)
  }

  /** How many pages there are. */
  get pages(): number {
    return this.#holders.length
  }

  /** How many nothing holds. Pages that only remembered prefixes hold count as held, but are given up on demand. */
  get freePages(): number {
    return this.#free.length
  }

  get byteLength(): number {
    return this.#disposed ? 0 : byteLength(this.#stored)
  }

  /**
   * Keeps the full pages of a sequence for others that begin with the same tokens, until room is needed.
   *
   * @param tokens the sequence's token numbers, as many as `pages` hold
   */
  remember(tokens: ArrayLike<number>, pages: readonly number[]): void {
    this.check()
    for (const page of this.#prefixes.insert(tokens, pages, this.pageSize)) this.hold(page)
  }

  /** The remembered pages of the longest beginning of `tokens`, held for the caller. */
  recall(tokens: ArrayLike<number>): number[] {
    this.check()
    const pages = this.#prefixes.find(tokens, this.pageSize)
    pages.forEach((page) => this.hold(page))
    return pages
  }

  /** Gives up all remembered prefixes. */
  forget(): void {
    this.check()
    for (let page = this.#prefixes.evict(() => true); page !== undefined; page = this.#prefixes.evict(() => true)) this.give(page)
  }

  /**
   * @returns a free page, held once; the one that follows page `after`, if that is free.
   * @throws QkvError `LIMIT_EXCEEDED` when all are held.
   */
  take(after?: number): number {
    this.check()
    if (this.#free.length === 0) {
      const evicted = this.#prefixes.evict((page) => this.#holders[page] === 1)
      if (evicted !== undefined) this.give(evicted)
    }
    // Pages that follow one another are read where they lie; looking for one costs less than the tokens of a page do.
    const next = after === undefined ? -1 : this.#free.indexOf(after + 1)
    const page = next < 0 ? this.#free.pop() : this.#free.splice(next, 1)[0]
    if (page === undefined) throw refused('LIMIT_EXCEEDED', 'PagePool', 'pages', 'one that is free', `${this.pages} pages in use`)
    this.#holders[page] = 1
    return page
  }

  hold(page: number): void {
    this.#holders[page]! += 1
  }

  give(page: number): void {
    this.#holders[page]! -= 1
    if (this.#holders[page] === 0) this.#free.push(page)
  }

  isShared(page: number): boolean {
    return this.#holders[page]! > 1
  }

  /** A view of rows of one page, or of it and the pages after it, [1, heads, rows, …]. */
  page(page: number, [start, end]: readonly [number, number]): StoredKeys {
    const first = page * this.pageSize
    return part(this.#stored, [first + start, first + end])
  }

  /**
   * Pages of several sequences in order, gathered in one copy, [sequences, heads, pages of the longest · pageSize, …]. What
   * follows the pages of a shorter sequence is not part of it; `lengths` hides it.
   *
   * @param scope gives the copies back
   */
  gather(sequences: readonly (readonly number[])[], scope: Temporaries): StoredKeys {
    const { pages, pageSize } = this
    const { heads } = this.layout
    const longest = Math.max(...sequences.map((own) => own.length))
    const order = sequences.flatMap((own) =>
      Array.from({ length: heads * longest }, (_, at) => Math.floor(at / longest) * pages + (own[at % longest] ?? 0)),
    )
    const indices = tensor(Int32Array.from(order), [order.length])
    return mapStored(this.#stored, (view) => {
      const elements = view.shape[3] ?? 0
      const pieces = reshape(view, [heads * pages, pageSize * elements])
      const gathered = scope.keep(this.backend.gather(pieces, indices))
      return reshape(gathered, [sequences.length, heads, longest * pageSize, elements])
    })
  }

  /** A page of one's own with the first `rows` tokens of another. */
  copyPage(page: number, rows: number): number {
    const copy = this.take()
    copyStored(this.backend, this.page(page, [0, rows]), this.page(copy, [0, rows]))
    return copy
  }

  check(): void {
    if (this.#disposed) throw refused('DISPOSED', 'PagePool', 'pool', 'not disposed', 'a disposed one')
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    release(this.#stored)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
