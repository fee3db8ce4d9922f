import type { Backend, ProblemOptions, Tensor, Watch } from '@qkv/core'
import type { Positions, RotaryEncoding, ScoreEncoding } from '@qkv/positional'
import { attention, type AttentionOptions } from '../attention.ts'
import { keptOtherwise, optionsOfKeys } from '../cache/attention.ts'
import type { DecodingCache } from '../cache/cache.ts'
import { nextPlaces, appendAndAttend } from '../cache/append.ts'
import type { OnBackend, WeightOptions } from '../inspect/index.ts'
import { checkRotaries, followsContent, isRotary } from '../positions.ts'
import { invalid } from '../refuse.ts'
import type { Temporaries } from '../temporaries.ts'
import type { KeyValueHeads } from './projections.ts'

/** Sees what attention attends with. */
export type Inspect = (query: Tensor, key: Tensor, options: WeightOptions & OnBackend) => Promise<void>

/** By heads, and not yet rotated. */
export interface SelfAttention extends KeyValueHeads {
  readonly query: Tensor
  readonly position: readonly (RotaryEncoding | ScoreEncoding)[]
  readonly positions: Positions | undefined
  /** How many of the tokens are each batch entry's own. */
  readonly counts: readonly number[] | undefined
  /** All that shapes the scores besides. */
  readonly options: Omit<AttentionOptions, 'backend' | 'lse' | 'position' | 'positions'> & ProblemOptions & Watch
  readonly inspect: Inspect | undefined
}

/** @returns [batch, heads, length, valueDim], kept in `scope`. */
export async function attendSelf(backend: Backend, asked: SelfAttention, scope: Temporaries): Promise<Tensor> {
  const { query, position, positions, options, inspect } = asked
  const whole = { ...options, position, positions: placesOfBoth(position, positions), backend }
  return attendAndShow(query, asked, whole, inspect, scope)
}

/** Attends, and shows with what. @returns [batch, heads, length, valueDim], kept in `scope`. */
export async function attendAndShow(
  query: Tensor,
  { key, value }: KeyValueHeads,
  options: AttentionOptions,
  inspect: Inspect | undefined,
  scope: Temporaries,
): Promise<Tensor> {
  const { output } = await attention(query, key, value, options)
  scope.keep(output)
  await inspect?.(query, key, options)
  return output
}

/** Where queries and keys of the same tokens stand, for the encodings that turn them. */
export function placesOfBoth(position: SelfAttention['position'], positions: Positions | undefined): AttentionOptions['positions'] {
  return positions && position.some(isRotary) ? { query: positions, key: positions } : undefined
}

/** The same to the tokens in a cache and these, which it takes in. It stays as it was when anything fails. */
export async function attendCached(cache: DecodingCache, asked: SelfAttention, scope: Temporaries): Promise<Tensor> {
  const { position } = asked
  const rotaries = position.filter(isRotary)
  // Keys are cached as they are turned: once, unless all of them turn anew as the text grows, or others read them unturned.
  const anew = rotaries.some(({ followsLength }) => followsLength) || (rotaries.length > 0 && position.some(followsContent))
  return anew ? attendTurningAnew(cache, asked, scope) : attendTurned(cache, asked, rotaries, scope)
}

async function attendTurned(
  cache: DecodingCache,
  { query, key, value, position, positions, counts, inspect, options }: SelfAttention,
  rotaries: readonly RotaryEncoding[],
  scope: Temporaries,
): Promise<Tensor> {
  const { backend } = cache
  const places = positions ?? nextPlaces(cache, query.shape[2] ?? 0, counts)
  const turned = (view: Tensor, role: 'query' | 'key'): Tensor =>
    rotaries.reduce((vectors, rotary) => scope.keep(backend.rotate(vectors, rotary.table(places, role))), view)
  const turnedQuery = turned(query, 'query')
  const scores = rotaries.length === 0 ? position : position.filter((encoding) => !isRotary(encoding))
  return appendAndAttend(cache, { key: turned(key, 'key'), value, counts }, async () => {
    const keys = scope.keep(cache.keys())
    return attendAndShow(turnedQuery, keys, optionsOfKeys(operation, keys, backend, options, scores), inspect, scope)
  })
}

/** From a cache with all keys, unturned: as without one, but for where the queries stand. */
async function attendTurningAnew(
  cache: DecodingCache,
  { query, key, value, position, positions, counts, inspect, options }: SelfAttention,
  scope: Temporaries,
): Promise<Tensor> {
  if (positions !== undefined) throw invalid(operation, 'positions', 'absent where all keys turn anew', 'positions')
  checkRotaries(operation, position, query.shape[3] ?? 0, cache.lengths !== undefined)
  const places = nextPlaces(cache, query.shape[2] ?? 0, counts)
  return appendAndAttend(cache, { key, value, counts }, async () => {
    const keys = scope.keep(cache.keys())
    const kept = keptOtherwise(keys)
    if (kept !== undefined) throw invalid(operation, 'cache', 'one with all keys as floats', kept)
    const plain = optionsOfKeys(operation, keys, cache.backend, options, undefined)
    const whole = { ...plain, position, positions: { query: places, key: { start: 0, length: keys.key.shape[2] ?? 0 } } }
    return attendAndShow(query, keys, whole, inspect, scope)
  })
}

const operation = 'MultiHeadAttention.forward'
