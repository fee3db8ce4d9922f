import { and, maskMod, type AttentionResult, type Backend, type MaskMod, type Tensor } from '@qkv/core'
import { attention, type AttentionOptions } from '../attention.ts'
import type { RotaryEncoding, ScoreEncoding } from '@qkv/positional'
import { encodingsOf } from '../positions.ts'
import { invalid } from '../refuse.ts'
import { unchanged } from './reindex.ts'
import type { CachedKeys, DecodingCache } from './cache.ts'

/** What a cache settles by itself is left out: its backend, its lengths, where its keys stand. */
export type CachedAttentionOptions = Omit<AttentionOptions, 'backend' | 'positions' | 'lengths' | 'keyScales' | 'valueScales'>

/**
 * Attention of the last tokens taken in to all that the cache holds: one query to decode, several for a chunk of a
 * prompt. Causal unless said otherwise, so that chunks and single tokens see what they would see in the whole.
 *
 *     await cache.append(key, value)                       // of the new tokens
 *     const { output } = await cachedAttention(query, cache)
 *
 * Score encodings go in `position`; with a rotary one, rotate queries and keys before (as `MultiHeadAttention` does). Those
 * that follow content need all keys, as floats.
 *
 * @param query [batch, queryHeads, tokens, headDim], of the last tokens appended
 * @throws QkvError as {@link attention} does.
 */
export async function cachedAttention(
  query: Tensor,
  cache: Pick<DecodingCache, 'backend' | 'keys'>,
  options: CachedAttentionOptions = {},
): Promise<AttentionResult> {
  const keys = cache.keys()
  try {
    return await attention(
      query,
      keys.key,
      keys.value,
      optionsOfKeys('cachedAttention', keys, cache.backend, options, options.position),
    )
  } finally {
    keys.dispose()
  }
}

/**
 * Every option must be listed, so leaving one out is a type error. They are spelled out because an object spread would take
 * longer than the rest of a small decoding step.
 */
type SpelledOut<Options> = { readonly [Name in keyof Required<Options>]: Options[Name & keyof Options] }

/** Attention's options for what a cache holds. */
export function optionsOfKeys(
  operation: string,
  keys: CachedKeys,
  backend: Backend,
  options: Omit<CachedAttentionOptions, 'position'>,
  position: CachedAttentionOptions['position'],
): SpelledOut<AttentionOptions> {
  const { causal = true, window, scale, softcap, bias, score, sinks, dropout, lse, signal, onProgress } = options
  return {
    causal,
    window: tokensMissing(keys) ? undefined : window,
    scale,
    softcap,
    bias,
    sinks,
    dropout,
    lse,
    signal,
    onProgress,
    positions: undefined,
    position: encodingsOf(operation, position).map((encoding) => ofCachedKeys(operation, encoding, keys)),
    score: score && keys.reindex(score),
    mask: cachedMask(operation, keys, options),
    lengths: keys.lengths,
    keyScales: keys.keyScales,
    valueScales: keys.valueScales,
    backend,
  }
}

/** An encoding over a sequence's own indices as one over a cache's. */
function ofCachedKeys(operation: string, encoding: RotaryEncoding | ScoreEncoding, keys: CachedKeys): ScoreEncoding {
  if (encoding.kind === 'rotary') {
    throw invalid(operation, 'position', 'score encodings (rotate before appending)', 'a rotary one')
  }
  if (encoding.follows === 'positions') return { ...encoding, scoreMod: keys.reindex(encoding.scoreMod) }
  const kept = keptOtherwise(keys)
  if (kept === undefined) return encoding
  throw invalid(operation, 'position', `encodings that follow positions alone, with ${kept}`, 'one that follows content')
}

/** What keeps encodings from reading a cache's keys as they came; undefined where nothing does. */
export function keptOtherwise(keys: CachedKeys): string | undefined {
  if (keys.keyScales !== undefined) return 'quantised keys'
  return tokensMissing(keys) ? 'a cache that has dropped tokens' : undefined
}

function tokensMissing({ reindex }: CachedKeys): boolean {
  return reindex !== unchanged
}

/** The caller's mask and the cache's; and the window, where distances among the keys held are not those of their tokens. */
function cachedMask(
  operation: string,
  keys: CachedKeys,
  { mask, bias, window }: CachedAttentionOptions,
): Tensor | MaskMod | undefined {
  const missing = tokensMissing(keys)
  if (!keys.mask && !missing) return mask
  if (bias) throw invalid(operation, 'bias', 'absent with a cache that slides', 'a tensor')
  if (mask && !('kind' in mask)) throw invalid(operation, 'mask', 'an expression with a cache that slides', 'a tensor')
  const near = missing && window ? within(window) : undefined
  return and(...[mask && keys.reindex(mask), near && keys.reindex(near), keys.mask].filter((each) => each !== undefined))
}

function within({ left = 2 ** 31 - 1, right = 2 ** 31 - 1 }: NonNullable<AttentionOptions['window']>): MaskMod {
  return maskMod(({ query, key }) => query.sub(key).le(left).and(key.sub(query).le(right)))
}
