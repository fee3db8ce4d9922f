import { tensor, type Backend, type Tensor } from '@qkv/core'
import { checkCount, invalid } from '../../refuse.ts'
import { temporaries } from '../../temporaries.ts'
import type { CachedKeys, DecodingCache } from '../cache.ts'
import { countsTaken, entryOf, lengthsLeft } from '../checks.ts'
import type { CacheLayout } from '../layout.ts'
import { checkAppended, part } from '../memory.ts'
import { unchanged } from '../reindex.ts'
import type { PagePool } from './page-pool.ts'
import type { PagedCache } from './paged-cache.ts'

/**
 * Sequences of one pool that are decoded together, a batch entry each, whatever their lengths; see `BatchedCache` for how their
 * tokens stand side by side. It holds nothing of its own: where sequences come and go, make another.
 *
 *     const batch = new PagedBatch([first, second, third])
 *     await layer.forward(tokens, { cache: batch })              // [3, 1, modelDim]
 *
 * Their pages are gathered in one copy for each call. Each entry comes out as it would alone.
 */
export class PagedBatch implements DecodingCache {
  readonly sequences: readonly PagedCache[]
  readonly layout: CacheLayout
  readonly #pool: PagePool

  /** @throws QkvError `OPTION_INVALID` unless there is one, and all are different ones of one pool. */
  constructor(sequences: readonly PagedCache[]) {
    const [first] = sequences
    checkCount('PagedBatch', 'sequences.length', sequences.length)
    if (first === undefined || sequences.some(({ pool }) => pool !== first.pool) || new Set(sequences).size < sequences.length) {
      throw invalid('PagedBatch', 'sequences', 'different ones of one pool', 'others')
    }
    this.sequences = [...sequences]
    this.#pool = first.pool
    this.layout = { ...first.layout, batch: sequences.length }
  }

  get backend(): Backend {
    return this.#pool.backend
  }

  /** Of the longest sequence. */
  get length(): number {
    return Math.max(...this.lengths)
  }

  get lengths(): readonly number[] {
    return this.sequences.map(({ length }) => length)
  }

  async append(key: Tensor, value: Tensor, counts?: readonly number[]): Promise<void> {
    const taken = countsTaken(counts, checkAppended('append', this.layout, key, value), this.sequences.length)
    const before = this.lengths
    try {
      for (const [entry, sequence] of this.sequences.entries()) {
        await sequence.append(entryOf(key, entry, taken[entry]!), entryOf(value, entry, taken[entry]!))
      }
    } catch (error) {
      this.truncate(before)
      throw error
    }
  }

  truncate(length: number | readonly number[]): void {
    const lengths = lengthsLeft(length, this.lengths)
    this.sequences.forEach((sequence, entry) => sequence.truncate(lengths[entry]!))
  }

  keys(): CachedKeys {
    const made = temporaries()
    const gathered = this.#pool.gather(
      this.sequences.map(({ pages }) => pages),
      made,
    )
    const lengths = tensor([...this.lengths], [this.sequences.length], { dtype: 'int32' })
    return { ...part(gathered, [0, this.length]), lengths, mask: undefined, reindex: unchanged, dispose: made.dispose }
  }
}
