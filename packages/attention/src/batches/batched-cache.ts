import { tensor, type Backend, type Tensor } from '@qkv/core'
import type { AttentionCache, CachedKeys, CacheState } from '../cache/cache.ts'
import { checkEntries, checkRestored, countsTaken, entryOf, lengthsLeft } from '../cache/checks.ts'
import type { KeyValueCacheOptions } from '../cache/contiguous.ts'
import { cacheLayout, type CacheLayout } from '../cache/layout.ts'
import { checkAppended, copyStored, readStored, store, type StoredKeys } from '../cache/memory.ts'
import { unchanged } from '../cache/reindex.ts'
import { Rows } from '../cache/rows.ts'
import { Life } from '../life.ts'
import { checkBackend, checkCount } from '../refuse.ts'

/**
 * Sequences of different lengths, one a batch entry, that are decoded together. Each entry takes in as many tokens as it has:
 * prompts are padded on the left, so that their last tokens stand side by side, and `counts` says how many are real.
 *
 *     const cache = new BatchedCache({ backend, batch: 3, heads: 8, headDim: 128 })
 *     await cache.append(key, value, [5, 9, 2])            // of [3, 8, 9, 128]: 4, 0 and 7 tokens of padding
 *     const { output } = await cachedAttention(query, cache)
 *     cache.truncate([14, 0, 11])                          // the second is done: its place is free for another
 *
 * Each entry comes out as it would alone.
 */
export class BatchedCache implements AttentionCache {
  readonly backend: Backend
  readonly layout: CacheLayout
  readonly #life = new Life('BatchedCache', 'cache')
  readonly #growing: boolean
  readonly #rows: Rows
  #lengths: readonly number[]

  /** @param options `capacity` is that of each entry. */
  constructor(options: KeyValueCacheOptions) {
    const { backend, capacity } = options
    checkBackend('BatchedCache', backend)
    if (capacity !== undefined) checkCount('BatchedCache', 'capacity', capacity)
    this.backend = backend
    this.layout = cacheLayout('BatchedCache', options)
    this.#growing = capacity === undefined
    this.#rows = new Rows(backend, this.layout, capacity)
    this.#lengths = new Array<number>(this.layout.batch).fill(0)
  }

  /** Of the longest entry. */
  get length(): number {
    return Math.max(...this.#lengths)
  }

  get lengths(): readonly number[] {
    return this.#lengths
  }

  get byteLength(): number {
    return this.#life.ended ? 0 : this.#rows.byteLength
  }

  async append(key: Tensor, value: Tensor, counts?: readonly number[]): Promise<void> {
    this.#life.check()
    const tokens = checkAppended('append', this.layout, key, value)
    const taken = countsTaken(counts, tokens, this.#lengths.length)
    const lengths = this.#lengths.map((length, entry) => length + taken[entry]!)
    this.#rows.makeRoom(Math.max(...lengths), this.length, this.#growing)
    this.#write(key, value, taken)
    this.#lengths = lengths
  }

  /** @param length of each entry, or what none is longer than after it */
  truncate(length: number | readonly number[]): void {
    this.#life.check()
    this.#lengths = [...lengthsLeft(length, this.#lengths)]
  }

  fork(): BatchedCache {
    this.#life.check()
    const { backend, layout } = this
    const fork = new BatchedCache({ ...layout, backend, capacity: this.#growing ? undefined : this.#rows.count })
    fork.#take(this.#rows.part(0, this.length), this.#lengths)
    return fork
  }

  keys(): CachedKeys {
    this.#life.check()
    const { length } = this
    const lengths = this.#lengths.every((own) => own === length)
      ? undefined
      : tensor(this.#lengths, [this.#lengths.length], { dtype: 'int32' })
    return { ...this.#rows.part(0, length), lengths, mask: undefined, reindex: unchanged, dispose: () => {} }
  }

  async save(): Promise<CacheState> {
    this.#life.check()
    const { layout, length, lengths } = this
    const stored = await readStored(this.backend, this.#rows.part(0, length))
    return { kind: 'batched', layout, length, lengths, stored }
  }

  restore(state: CacheState): void {
    this.#life.check()
    checkRestored(state, 'batched', this.layout)
    const lengths = state.lengths ?? []
    checkEntries(
      'restore',
      'state.lengths',
      lengths,
      this.#lengths.map(() => state.length),
    )
    this.#take(state.stored, lengths)
  }

  dispose(): void {
    if (this.#life.end()) this.#rows.release()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Side by side where all entries are alike, else one after another. */
  #write(key: Tensor, value: Tensor, counts: readonly number[]): void {
    const tokens = key.shape[2] ?? 0
    const [first = 0] = this.#lengths
    if (this.#lengths.every((length) => length === first) && counts.every((count) => count === tokens)) {
      store(this.backend, key, value, this.#rows.part(first, first + tokens))
      return
    }
    for (const [entry, length] of this.#lengths.entries()) {
      const count = counts[entry] ?? 0
      if (count === 0) continue
      const target = this.#rows.part(length, length + count, entry)
      store(this.backend, entryOf(key, entry, count), entryOf(value, entry, count), target)
    }
  }

  #take(stored: StoredKeys, lengths: readonly number[]): void {
    const held = stored.key.shape[2] ?? 0
    this.#rows.makeRoom(held, 0, this.#growing)
    copyStored(this.backend, stored, this.#rows.part(0, held))
    this.#lengths = [...lengths]
  }
}
