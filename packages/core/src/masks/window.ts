import { maskMod } from '../expression/build.ts'
import type { MaskMod } from '../expression/node.ts'

/** A query sees the `size` last keys up to its own position, its own included, as in Mistral. */
export function slidingWindow(size: number): MaskMod {
  return maskMod(({ query, key }) => key.le(query).and(query.sub(key).lt(size)))
}

/** A query sees every `step`-th key, counted from its own. */
export function dilated(step: number): MaskMod {
  return maskMod(({ query, key }) => query.sub(key).mod(step).eq(0))
}

/** A query sees the keys of its own chunk of `size`; with `causal()`, as in Llama 4. */
export function chunked(size: number): MaskMod {
  return maskMod(({ query, key }) => query.floorDiv(size).eq(key.floorDiv(size)))
}

/** A query sees the first `count` keys, up to its own: the attention sinks that `or(…, slidingWindow(n))` keeps in sight. */
export function sinkTokens(count: number): MaskMod {
  return maskMod(({ query, key }) => key.lt(count).and(key.le(query)))
}
