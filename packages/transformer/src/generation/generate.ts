import { QkvError, describe } from '@qkv/core'
import type { Decoder } from '../decoder/decoder.ts'
import type { AttentionMaps } from '../decoder/maps.ts'
import { greedy, type Sampler } from './sample.ts'

export interface GenerateOptions {
  /** How many tokens to add at most; default as many as the model's context holds. */
  readonly steps?: number | undefined
  /** Picks each token from its logits; default {@link greedy}. */
  readonly sample?: Sampler | undefined
  /** Any of these ends the text and is not part of it. */
  readonly endTokens?: readonly number[] | undefined
  /** Keep keys and values instead of computing them anew for each token; default true. The text is the same. */
  readonly cache?: boolean | undefined
  /** Also capture what every head of every layer looks at; default false. */
  readonly maps?: boolean | undefined
  /** Ends the text early, with `ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

export interface GeneratedToken {
  readonly token: number
  /** Its place in the whole text; the prompt's first token is at 0. */
  readonly position: number
  /** What the tokens before it look at, each token's row once: with the first token the prompt's rows, then one a step. */
  readonly maps: AttentionMaps | undefined
}

/**
 * Writes on from a prompt, a token at a time. Memory is given back when the iteration ends, however it ends.
 *
 *     for await (const { token } of generate(model, prompt, { steps: 100 })) …
 *
 * @throws QkvError `OPTION_INVALID` for no prompt or tokens that there are not, `LIMIT_EXCEEDED` for a prompt that the
 * context does not hold, `ABORTED`.
 */
export async function* generate(
  model: Decoder,
  prompt: readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken, void, undefined> {
  const { sample = greedy, endTokens = [], maps: captures = false, signal } = options
  const end = endOfText(prompt, options.steps, model.sizes.contextLength)
  using cache = (options.cache ?? true) ? model.createCache(Math.max(end, prompt.length)) : undefined
  const tokens = [...prompt]
  let seen = 0
  while (tokens.length < end) {
    if (signal?.aborted) throw aborted(tokens.length - prompt.length, signal.reason)
    const { logits, maps } = await model.forward(cache ? tokens.slice(seen) : tokens, {
      cache,
      mapsFrom: captures ? (cache ? 0 : seen) : undefined,
    })
    using given = logits
    const token = sample(await model.backend.read(given))
    if (endTokens.includes(token)) return
    seen = tokens.length
    tokens.push(token)
    yield { token, position: seen, maps }
  }
}

/** How long the whole text may become. */
function endOfText(prompt: readonly number[], steps: number | undefined, contextLength: number): number {
  if (steps === undefined) return contextLength
  if (Number.isSafeInteger(steps) && steps >= 0) return Math.min(contextLength, prompt.length + steps)
  throw new QkvError({
    code: 'OPTION_INVALID',
    operation: 'generate',
    argument: 'steps',
    expected: 'a whole number ≥ 0',
    received: describe(steps),
  })
}

function aborted(written: number, cause: unknown): QkvError {
  return new QkvError({
    code: 'ABORTED',
    operation: 'generate',
    argument: 'signal',
    expected: 'not aborted',
    received: `an abort after ${written} tokens`,
    cause,
  })
}
