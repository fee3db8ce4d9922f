import type { Tensor } from '@qkv/core'
import type { Positions } from '@qkv/positional'
import { placesFrom } from '../positions.ts'
import type { DecodingCache } from './cache.ts'

/** Tokens that a cache is to take in. */
export interface NextTokens {
  readonly key: Tensor
  readonly value: Tensor
  /** How many of the last ones are each batch entry's own, for caches that count them apart. */
  readonly counts: readonly number[] | undefined
}

/** Has a cache take in tokens and attends with them; the cache stays as it was when anything fails. */
export async function appendAndAttend<T>(
  cache: DecodingCache,
  { key, value, counts }: NextTokens,
  attend: () => Promise<T>,
): Promise<T> {
  const before = cache.lengths ?? cache.length
  await cache.append(key, value, counts)
  try {
    return await attend()
  } catch (error) {
    cache.truncate(before)
    throw error
  }
}

/** Where the next `count` tokens of a cache stand; padding before them, which stands nowhere, is given places that there are. */
export function nextPlaces(
  { length: start, lengths }: Pick<DecodingCache, 'length' | 'lengths'>,
  count: number,
  counts: readonly number[] | undefined,
): Positions {
  if (lengths === undefined) return { start, length: count }
  const starts = lengths.map((held, entry) => held + (counts?.[entry] ?? count) - count)
  return placesFrom(starts, count, 0)
}
