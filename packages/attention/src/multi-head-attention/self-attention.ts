import type { Backend, ProblemOptions, QkvError, Tensor, Watch } from '@qkv/core'
import type { Positions, RotaryEncoding, ScoreEncoding } from '@qkv/positional'
import { attention, type AttentionOptions } from '../attention.ts'
import { optionsOfKeys } from '../cache/attention.ts'
import type { DecodingCache, CachedKeys } from '../cache/cache.ts'
import { unchanged } from '../cache/reindex.ts'
import { nextPlaces, takeIn } from '../cache/taking-in.ts'
import type { OnBackend, WeightOptions } from '../inspect/index.ts'
import { isRotary } from '../positioned.ts'
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
  const { query, key, value, position, positions, options, inspect } = asked
  const places = positions === undefined ? undefined : { query: positions, key: positions }
  const whole = { ...options, position, positions: places, backend }
  const { output } = await attention(query, key, value, whole)
  scope.keep(output)
  await inspect?.(query, key, whole)
  return output
}

/** The same to the tokens in a cache and these, which it takes in. It stays as it was when anything fails. */
export async function attendCached(cache: DecodingCache, asked: SelfAttention, scope: Temporaries): Promise<Tensor> {
  const { query, key, value, position, positions, counts, inspect } = asked
  const { backend } = cache
  const next = nextPlaces(cache, query.shape[2] ?? 0, counts)
  const [places, contextLength] = positions === undefined ? next : [positions, undefined]
  const rotaries = position.filter(isRotary)
  const turned = (view: Tensor, at: Positions, role: 'query' | 'key'): Tensor =>
    rotaries.reduce((vectors, rotary) => scope.keep(backend.rotate(vectors, rotary.table(at, role, contextLength))), view)
  // Keys are kept as they are turned, unless all of them turn anew as the sequence grows.
  const anew = rotaries.some(({ followsLength }) => followsLength)
  if (anew && positions !== undefined) throw unfit('positions', 'positions')

  const turnedQuery = turned(query, places, 'query')
  const scores = position.filter((encoding) => !isRotary(encoding))
  return takeIn(cache, { key: anew ? key : turned(key, places, 'key'), value, counts }, async () => {
    const held = scope.keep(cache.keys())
    const keys = anew ? { ...held, key: turned(checkWhole(held).key, { start: 0, length: held.key.shape[2] ?? 0 }, 'key') } : held
    const whole = optionsOfKeys(keys, backend, asked.options, scores)
    const { output } = await attention(turnedQuery, keys.key, keys.value, whole)
    scope.keep(output)
    await inspect?.(turnedQuery, keys.key, whole)
    return output
  })
}

/** @throws QkvError unless all keys are there, and can be turned. */
function checkWhole(keys: CachedKeys): CachedKeys {
  if (keys.keyScales !== undefined) throw unfit('cache', 'one with quantised keys')
  if (keys.reindex !== unchanged) throw unfit('cache', 'one that has dropped tokens')
  return keys
}

function unfit(argument: string, received: string): QkvError {
  const expected = argument === 'cache' ? 'one with all keys, as floats,' : 'absent'
  return invalid('MultiHeadAttention.forward', argument, `${expected} where a rotary position follows the length`, received)
}
