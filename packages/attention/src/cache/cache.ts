import type { Backend, HostTensor, MaskMod, Tensor } from '@qkv/core'
import type { CacheLayout } from './layout.ts'
import type { StoredKeys } from './memory.ts'
import type { Reindex } from './reindex.ts'

/** What attention needs of a cache: to take in the next tokens, and to show all of them. */
export interface DecodingCache {
  readonly backend: Backend
  readonly layout: CacheLayout
  /** How many tokens have been taken in (and not truncated again), whether or not they are still held: the next position. */
  readonly length: number
  /** The same for each batch entry, where a cache counts them apart; `length` is the most of them then. */
  readonly lengths?: readonly number[] | undefined
  /**
   * Takes in the next tokens. Await it before the cache is used again: caches here have issued all work by the time the
   * call returns, and read nothing home, but one of another kind may have to wait.
   *
   * @param key [batch, heads, tokens, headDim], any float dtype
   * @param value [batch, heads, tokens, valueDim]
   * @param counts for caches with `lengths`: how many of the last tokens are each entry's; those before are padding. Default all.
   * @throws QkvError `SHAPE_MISMATCH`, `LIMIT_EXCEEDED` when it is full, `DISPOSED`; the cache stays as it was.
   */
  append(key: Tensor, value: Tensor, counts?: readonly number[]): Promise<void>
  /** Forgets the tokens from `length` on; of each batch entry, where a cache has `lengths`. */
  truncate(length: number | readonly number[]): void
  /** What attention takes; dispose it after the call. */
  keys(): CachedKeys
}

/**
 * Keys and values of the tokens so far, kept on a backend between calls. Attend to them with `cachedAttention`.
 *
 * Keys are kept as they come: rotate them before they are appended, at positions from `length` on.
 */
export interface AttentionCache extends DecodingCache, Disposable {
  /** Bytes of backend memory that the cache holds, used and spare. */
  readonly byteLength: number
  /** An independent cache with the same tokens. */
  fork(): AttentionCache
  /** All that is held, in host memory, to be kept or sent elsewhere. */
  save(): Promise<CacheState>
  /** Becomes what was saved from a cache of the same kind and layout. */
  restore(state: CacheState): void
  dispose(): void
}

/** What a cache holds, as attention takes it. */
export interface CachedKeys extends StoredKeys {
  /** What restricts visibility besides causality, in the indices of these keys; undefined = nothing. */
  readonly mask: MaskMod | undefined
  /** Expressions over a sequence's own indices, made to hold for these keys, where tokens are missing among them. */
  readonly reindex: Reindex
  /** How many keys of each batch entry there are; undefined = all. */
  readonly lengths?: HostTensor | undefined
  dispose(): void
}

/** A saved cache: plain data. */
export interface CacheState {
  readonly kind: 'contiguous' | 'sliding' | 'paged' | 'batched'
  readonly layout: CacheLayout
  readonly length: number
  readonly lengths?: readonly number[] | undefined
  /** Of a sliding cache, as it was made. */
  readonly window?: number | undefined
  readonly sinks?: number | undefined
  /** [batch, heads, held, …], as stored; a sliding cache holds fewer tokens than its length. */
  readonly stored: StoredKeys<HostTensor>
}
