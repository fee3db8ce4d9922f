import type { WeightMap } from '@qkv/attention'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { randomStream } from '../random-stream.ts'
import type { Decoder } from '../decoder/decoder.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'

/** What a head does, where it does mostly one thing. */
export type HeadRole = 'previous token' | 'own token' | 'first token'

/** Mean shares of a token's gaze, 0…1, over many tokens. */
export interface HeadMeasure {
  /** On the token just before it. */
  readonly previousToken: number
  readonly ownToken: number
  /** On the first token of the text. */
  readonly firstToken: number
  /** The one of these that takes well over half. */
  readonly role: HeadRole | undefined
}

/** A share above this names a head. */
const namingShare = 0.55

/** Tokens of each random text, and how many texts. */
const textLength = 256
const texts = 2

/**
 * Measures every head of every layer, `[layer][head]`, on texts of random tokens: what a head still does where no text
 * makes sense, it does by position. (The usual probe: Olsson et al., In-context learning and induction heads, 2022.)
 *
 * @param seed The same seed draws the same texts.
 */
export async function measureHeads(model: Decoder, tokenizer: Tokenizer, seed = 0): Promise<HeadMeasure[][]> {
  const generator = randomStream(seed)
  const length = Math.min(textLength, model.sizes.contextLength)
  const draw = (): number => tokenizer.pieces[uniformInt(generator, 0, tokenizer.pieces.length - 1)] ?? tokenizer.beginToken
  const maps: (readonly WeightMap[])[] = []
  for (let text = 0; text < texts; text++) {
    const tokens = [tokenizer.beginToken, ...Array.from({ length: length - 1 }, draw)]
    const result = await model.forward(tokens, { mapsFrom: 0 })
    result.logits.dispose()
    maps.push(result.maps ?? [])
  }
  return Array.from({ length: model.layers }, (_, layer) =>
    Array.from({ length: model.sizes.heads }, (_, head) => measure(maps.map((map) => map[layer]?.[head] ?? []))),
  )
}

/** One head's shares over the rows of several texts. The first two tokens are left out: their choices coincide. */
function measure(maps: readonly (readonly Float32Array[])[]): HeadMeasure {
  const mean = (keyOf: (query: number) => number): number => {
    const shares = maps.flatMap((rows) => rows.map((row, query) => row[keyOf(query)] ?? 0).slice(2))
    return shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length)
  }
  const previousToken = mean((query) => query - 1)
  const ownToken = mean((query) => query)
  const firstToken = mean(() => 0)
  return { previousToken, ownToken, firstToken, role: roleOf({ 'previous token': previousToken, 'own token': ownToken, 'first token': firstToken }) }
}

function roleOf(shares: Readonly<Record<HeadRole, number>>): HeadRole | undefined {
  const roles: readonly HeadRole[] = ['previous token', 'own token', 'first token']
  return roles.find((role) => shares[role] > namingShare)
}
