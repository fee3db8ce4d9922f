import { maskMod, type Backend, type MaskMod } from '@qkv/core'
import { checkBackend, checkCount } from '../refuse.ts'
import type { CachedKeys } from './cache.ts'
import { HeldTokens } from './held-tokens.ts'
import { cacheLayout, type CacheOptions } from './layout.ts'
import { reindexed, unchanged } from './reindex.ts'

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
export class SlidingCache extends HeldTokens {
  readonly window: number
  readonly sinks: number
  protected readonly growing = true
  protected readonly reach: { readonly window: number; readonly sinks: number }
  /** Among the keys held, distances within the window are what they are in the text, and sinks come first. */
  readonly #inReach: MaskMod

  constructor(options: SlidingCacheOptions) {
    const { backend, window, sinks = 0 } = options
    checkBackend('SlidingCache', backend)
    checkCount('SlidingCache', 'window', window)
    checkCount('SlidingCache', 'sinks', sinks, 0)
    super('sliding', backend, cacheLayout('SlidingCache', options), sinks + 2 * window)
    this.window = window
    this.sinks = sinks
    this.reach = { window, sinks }
    this.#inReach = maskMod(({ query, key }) => query.sub(key).lt(window).or(key.lt(sinks)))
  }

  /** Back to where the next query's window is still held. */
  protected get shortest(): number {
    return this.missing === 0 ? 0 : this.sinks + this.missing + this.window - 1
  }

  protected get visibility(): Pick<CachedKeys, 'mask' | 'reindex'> {
    return {
      mask: this.held > this.window ? this.#inReach : undefined,
      reindex: this.missing > 0 ? reindexed(this.sinks, this.missing) : unchanged,
    }
  }

  fork(): SlidingCache {
    const { backend, layout, reach } = this
    return this.forkInto(() => new SlidingCache({ ...layout, ...reach, backend }))
  }

  /** Drops what no window of the tokens to come reaches. */
  protected override makeRoom(count: number): void {
    const { held, sinks, window } = this
    if (held + count <= this.rows) return
    const first = Math.min(held, sinks)
    const last = Math.min(held - first, window - 1)
    this.layOut(sinks + Math.max(2 * window, last + count), { first, last })
  }
}
