import type { Backend, Tensor } from '@qkv/core'
import type { AttentionCache, CachedKeys, CacheState } from './cache.ts'
import { Life } from '../life.ts'
import { checkWhole } from '../refuse.ts'
import { checkRestored } from './checks.ts'
import type { CacheLayout } from './layout.ts'
import { checkAppended, copyStored, readStored, store, type StoredKeys } from './memory.ts'
import { Rows, type Kept } from './rows.ts'

/**
 * What caches have in common whose tokens lie one after another in memory of their own, [batch, heads, rows, dim]. They
 * differ in how they make room, and in what a query may see of what is held.
 */
export abstract class HeldTokens implements AttentionCache {
  readonly backend: Backend
  readonly layout: CacheLayout
  readonly #kind: 'contiguous' | 'sliding'
  readonly #life: Life
  readonly #rows: Rows
  #length = 0
  #missing = 0

  constructor(kind: 'contiguous' | 'sliding', backend: Backend, layout: CacheLayout, rows?: number) {
    this.backend = backend
    this.layout = layout
    this.#kind = kind
    this.#life = new Life(`${kind} cache`, 'cache')
    this.#rows = new Rows(backend, layout, rows)
  }

  /** Whether it may take more memory than it began with. */
  protected abstract readonly growing: boolean
  /** The shortest length to go back to. */
  protected abstract readonly shortest: number
  /** What decides which tokens stay, where not all do. */
  protected abstract readonly reach: Pick<CacheState, 'window' | 'sinks'>
  protected abstract readonly visibility: Pick<CachedKeys, 'mask' | 'reindex'>

  abstract fork(): HeldTokens

  get length(): number {
    return this.#length
  }

  get byteLength(): number {
    return this.#life.ended ? 0 : this.#rows.byteLength
  }

  /** Tokens held, and for how many there is room. */
  protected get held(): number {
    return this.#length - this.#missing
  }

  protected get rows(): number {
    return this.#rows.count
  }

  /** Tokens of the text that are not held any more. */
  protected get missing(): number {
    return this.#missing
  }

  async append(key: Tensor, value: Tensor): Promise<void> {
    this.#life.check()
    const count = checkAppended('append', this.layout, key, value)
    this.makeRoom(count)
    store(this.backend, key, value, this.#rows.part(this.held, this.held + count))
    this.#length += count
  }

  truncate(length: number): void {
    this.#life.check()
    checkWhole('truncate', 'length', [length], this.shortest, this.#length)
    this.#length = length
  }

  keys(): CachedKeys {
    this.#life.check()
    const { key, value, keyScales, valueScales } = this.#rows.part(0, this.held)
    const { mask, reindex } = this.visibility
    return { key, value, keyScales, valueScales, mask, reindex, dispose: () => {} }
  }

  async save(): Promise<CacheState> {
    this.#life.check()
    const stored = await readStored(this.backend, this.#rows.part(0, this.held))
    return { kind: this.#kind, layout: this.layout, length: this.#length, ...this.reach, stored }
  }

  restore(state: CacheState): void {
    this.#life.check()
    checkRestored(state, this.#kind, this.layout, this.reach)
    this.#take(state.stored, state.length)
  }

  dispose(): void {
    if (this.#life.end()) this.#rows.release()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Makes room for `count` more tokens, by `layOut` where some are no longer held. */
  protected makeRoom(count: number): void {
    this.#rows.makeRoom(this.held + count, this.held, this.growing)
  }

  /** An empty cache like this one, made to hold the same. */
  protected forkInto<Cache extends HeldTokens>(make: () => Cache): Cache {
    this.#life.check()
    const fork = make()
    fork.#take(this.#rows.part(0, this.held), this.#length)
    return fork
  }

  /** Moves what is kept, in order, to new memory of `rows` rows. */
  protected layOut(rows: number, kept: Kept): void {
    const { held } = this
    this.#rows.layOut(rows, held, kept)
    this.#missing += held - kept.first - kept.last
  }

  /** Holds these tokens and no others, the last of a text of `length`. */
  #take(stored: StoredKeys, length: number): void {
    const held = stored.key.shape[2] ?? 0
    this.#rows.makeRoom(held, 0, this.growing)
    copyStored(this.backend, stored, this.#rows.part(0, held))
    this.#length = length
    this.#missing = length - held
  }
}
