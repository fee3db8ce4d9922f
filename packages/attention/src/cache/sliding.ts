import { maskMod, type Backend, type OwnedTensor, type Tensor } from '@qkv/core'
import { checkBackend, checkCount } from '../refuse.ts'
import type { AttentionCache, CachedKeys, CacheState } from './cache.ts'
import { checkRestored, checkTruncation, Turn } from './checks.ts'
import { cacheLayout, type CacheLayout, type CacheOptions } from './layout.ts'
import { allocate, byteLength, checkAppended, copyStored, encode, part, readStored, release, type StoredKeys } from './memory.ts'
import { reindexed } from './reindex.ts'

export interface SlidingCacheOptions extends CacheOptions {
  readonly backend: Backend
  /** How many tokens a query sees, itself included, besides the sinks. */
  readonly window: number
  /** How many first tokens stay for good; default 0. */
  readonly sinks?: number | undefined
}

/**
 * The first few tokens and a window over the last ones: memory that stops growing, however long the text. The first
 * tokens are worth keeping because softmax parks there what a head has no use for; without them, models trained on
 * whole texts fail as soon as they are dropped (Xiao et al., Efficient streaming language models with attention sinks,
 * 2023, arXiv:2309.17453). Each query sees just what the same window, with the same sinks, shows it in the whole text.
 *
 * Tokens lie one after another, the sinks first. Those that no window reaches any more are dropped when room runs out,
 * about once in `window` tokens, so taking in a token is cheap.
 */
export class SlidingCache implements AttentionCache {
  readonly backend: Backend
  readonly layout: CacheLayout
  readonly window: number
  readonly sinks: number
  readonly #turn = new Turn('SlidingCache')
  #stored: StoredKeys<OwnedTensor>
  #rows: number
  #length = 0
  /** Tokens left out between the sinks and the rest. */
  #missing = 0

  constructor(options: SlidingCacheOptions) {
    const { backend, window, sinks = 0 } = options
    checkBackend('SlidingCache', backend)
    checkCount('SlidingCache', 'window', window)
    checkCount('SlidingCache', 'sinks', sinks, 0)
    this.backend = backend
    this.window = window
    this.sinks = sinks
    this.layout = cacheLayout('SlidingCache', options)
    this.#rows = sinks + 2 * window
    this.#stored = allocate(backend, this.layout, this.layout.batch, this.#rows)
  }

  get length(): number {
    return this.#length
  }

  get byteLength(): number {
    return this.#turn.disposed ? 0 : byteLength(this.#stored)
  }

  append(key: Tensor, value: Tensor): Promise<void> {
    return this.#turn.take(async () => {
      const count = checkAppended('SlidingCache.append', this.layout, key, value)
      const encoded = await encode(this.backend, this.layout, key, value)
      if (this.#held + count > this.#rows) this.#slide(count)
      copyStored(this.backend, encoded, part(this.#stored, [this.#held, this.#held + count]))
      this.#length += count
    })
  }

  /** Only back to where the next query's window is still held. */
  truncate(length: number): void {
    this.#turn.check()
    const shortest = this.#missing === 0 ? 0 : this.sinks + this.#missing + this.window - 1
    checkTruncation('SlidingCache', length, shortest, this.#length)
    this.#length = length
  }

  fork(): SlidingCache {
    this.#turn.check()
    const { backend, layout, window, sinks } = this
    const fork = new SlidingCache({ ...layout, backend, window, sinks })
    fork.#take(part(this.#stored, [0, this.#held]), this.#length)
    return fork
  }

  keys(): CachedKeys {
    this.#turn.check()
    const { window, sinks } = this
    // Among the keys held, distances within the window are what they are in the text, and sinks come first.
    const inReach = maskMod(({ query, key }) => query.sub(key).lt(window).or(key.lt(sinks)))
    return {
      ...part(this.#stored, [0, this.#held]),
      mask: this.#held > window ? inReach : undefined,
      reindex: this.#missing > 0 ? reindexed(sinks, this.#missing) : undefined,
      dispose: () => {},
    }
  }

  async save(): Promise<CacheState> {
    this.#turn.check()
    const { layout } = this
    return {
      kind: 'sliding',
      layout,
      length: this.#length,
      stored: await readStored(this.backend, part(this.#stored, [0, this.#held])),
    }
  }

  restore(state: CacheState): void {
    this.#turn.check()
    checkRestored('SlidingCache.restore', state, 'sliding', this.layout)
    this.#take(state.stored, state.length)
  }

  dispose(): void {
    if (this.#turn.end()) release(this.#stored)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  get #held(): number {
    return this.#length - this.#missing
  }

  /** Drops what no window of the tokens to come reaches, and makes room for `count` of them. */
  #slide(count: number): void {
    const { backend, layout, sinks, window } = this
    const held = this.#held
    const kept = Math.min(Math.max(0, held - sinks), window - 1)
    const dropped = Math.max(0, held - sinks) - kept
    const first = Math.min(held, sinks)
    const rows = sinks + Math.max(2 * window, kept + count)
    const fresh = allocate(backend, layout, layout.batch, rows)
    copyStored(backend, part(this.#stored, [0, first]), part(fresh, [0, first]))
    copyStored(backend, part(this.#stored, [held - kept, held]), part(fresh, [first, first + kept]))
    release(this.#stored)
    this.#stored = fresh
    this.#rows = rows
    this.#missing += dropped
  }

  /** Holds these tokens, the last of a text of `length`. */
  #take(stored: StoredKeys, length: number): void {
    const held = stored.key.shape[2] ?? 0
    if (held > this.#rows) {
      release(this.#stored)
      this.#rows = held
      this.#stored = allocate(this.backend, this.layout, this.layout.batch, held)
    }
    copyStored(this.backend, stored, part(this.#stored, [0, held]))
    this.#length = length
    this.#missing = length - held
  }
}
