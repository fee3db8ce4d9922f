import type { Backend, OwnedTensor } from '@qkv/core'
import { refused } from '../refuse.ts'
import type { CacheLayout } from './layout.ts'
import { allocate, byteLength, copyStored, part, release, type StoredKeys } from './memory.ts'

/** Which rows to keep when memory is laid out anew: `first` from the start, `last` up to the end. */
export interface Kept {
  readonly first: number
  readonly last: number
}

/** A cache's own memory, [batch, heads, rows, …]: a row a token, laid out anew where that gets too small. */
export class Rows {
  readonly #backend: Backend
  readonly #layout: CacheLayout
  #stored: StoredKeys<OwnedTensor>
  #count: number

  constructor(backend: Backend, layout: CacheLayout, count = 64) {
    this.#backend = backend
    this.#layout = layout
    this.#count = count
    this.#stored = allocate(backend, layout, layout.batch, count)
  }

  get count(): number {
    return this.#count
  }

  get byteLength(): number {
    return byteLength(this.#stored)
  }

  /** A view of rows `start ≤ row < end`, of all batch entries or of one. */
  part(start: number, end: number, entry?: number): StoredKeys {
    return part(this.#stored, [start, end], entry === undefined ? undefined : [entry, entry + 1])
  }

  /** Room for `tokens` rows, by doubling; the `held` ones stay. @throws QkvError `LIMIT_EXCEEDED` where no more are to be had. */
  makeRoom(tokens: number, held: number, growing: boolean): void {
    if (tokens <= this.#count) return
    if (!growing) throw refused('LIMIT_EXCEEDED', 'cache', 'tokens', `at most ${this.#count}, its capacity`, String(tokens))
    this.layOut(Math.max(tokens, 2 * this.#count), held, { first: held, last: 0 })
  }

  /** Moves what is kept of the `held` rows, in order, to new memory of `count` rows. */
  layOut(count: number, held: number, { first, last }: Kept): void {
    const old = this.#stored
    this.#stored = allocate(this.#backend, this.#layout, this.#layout.batch, count)
    copyStored(this.#backend, part(old, [0, first]), this.part(0, first))
    copyStored(this.#backend, part(old, [held - last, held]), this.part(first, first + last))
    release(old)
    this.#count = count
  }

  release(): void {
    release(this.#stored)
  }
}
