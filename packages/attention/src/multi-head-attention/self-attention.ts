import type { Backend, ProblemOptions, Tensor, Watch } from '@qkv/core'
import type { Positions, RotaryEncoding, ScoreEncoding } from '@qkv/positional'
import { attention, type AttentionOptions } from '../attention.ts'
import { cachedAttention, optionsOfKeys } from '../cache/attention.ts'
import type { AttentionCache } from '../cache/cache.ts'
import type { OnBackend, WeightOptions } from '../inspect/index.ts'
import { isRotary } from '../positioned.ts'
import type { Temporaries } from '../temporaries.ts'
import type { KeyValueHeads } from './projections.ts'

/** Sees what attention attends with. */
export type Inspect = (query: Tensor, key: Tensor, options: WeightOptions & OnBackend) => Promise<void>

/** By heads, and not yet rotated. */
export interface SelfAttention extends KeyValueHeads {
  readonly query: Tensor
  readonly position: readonly (RotaryEncoding | ScoreEncoding)[]
  readonly positions: Positions | undefined
  /** All that shapes the scores besides. */
  readonly options: Omit<AttentionOptions, 'backend' | 'lse' | 'position' | 'positions'> & ProblemOptions & Watch
  readonly inspect: Inspect | undefined
}

/** @returns [batch, heads, length, valueDim], kept in `scope`. */
export async function attendSelf(backend: Backend, asked: SelfAttention, scope: Temporaries): Promise<Tensor> {
  const { query, key, value, position, positions, options, inspect } = asked
  const places = positions === undefined ? undefined : { query: positions, key: positions }
  const whole = { ...options, position, positions: places, backend }
  const { output } = await attention(query, key, value, whole)
  scope.keep(output)
  await inspect?.(query, key, whole)
  return output
}

/** The same to the tokens in a cache and these, which it takes in: rotated. It stays as it was when anything fails. */
export async function attendCached(cache: AttentionCache, asked: SelfAttention, scope: Temporaries): Promise<Tensor> {
  const { position, inspect } = asked
  const { query, key, value } = rotated(cache, asked, scope)
  const options = { ...asked.options, position: position.filter((encoding) => !isRotary(encoding)) }
  const before = cache.length
  await cache.append(key, value)
  try {
    const { output } = await cachedAttention(query, cache, options)
    scope.keep(output)
    if (inspect === undefined) return output
    const keys = cache.keys()
    scope.keep(keys)
    await inspect(query, keys.key, optionsOfKeys(keys, cache.backend, options))
    return output
  } catch (error) {
    cache.truncate(before)
    throw error
  }
}

/** Queries and keys turned to where they stand: after the tokens in the cache, or where `positions` says. */
function rotated(cache: AttentionCache, asked: SelfAttention, scope: Temporaries): Pick<SelfAttention, 'query' | 'key' | 'value'> {
  const { value, position, positions } = asked
  let { query, key } = asked
  const start = cache.length
  const length = query.shape[2] ?? 0
  const places = positions ?? { start, length }
  const contextLength = positions === undefined ? start + length : undefined
  for (const rotary of position.filter(isRotary)) {
    const turn = (view: Tensor, role: 'query' | 'key'): Tensor =>
      scope.keep(cache.backend.rotate(view, rotary.table(places, role, contextLength)))
    query = turn(query, 'query')
    key = turn(key, 'key')
  }
  return { query, key, value }
}
