import { inspect } from '@qkv/attention'
import type { Decoder } from '../decoder/decoder.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'

/** What a head does, where it does mostly one thing. */
export type HeadRole = keyof inspect.HeadRoles

export interface HeadMeasure extends inspect.HeadRoles {
  /** The one of its shares that is over 0.55, if any. */
  readonly role: HeadRole | undefined
}

/** A share above this names a head. */
const namingShare = 0.55

/** Enough tokens for shares that differ little from one text to the next. */
const longestText = 512

/**
 * Measures every head of every layer, `[layer][head]`, on a text of random tokens that comes twice: what a head still does
 * where nothing makes sense, it does by position and repetition; see `inspect.headRoles`.
 *
 * @param seed The same seed draws the same text.
 */
export async function measureHeads(model: Decoder, tokenizer: Tokenizer, seed = 0): Promise<HeadMeasure[][]> {
  const { pieces, beginToken } = tokenizer
  const length = Math.floor((Math.min(longestText, model.sizes.contextLength) - 1) / 2)
  const drawn = inspect.repeatedTokens({ vocabulary: pieces.length, length, seed })
  const tokens = [beginToken, ...drawn.map((index) => pieces[index] ?? beginToken)]
  const { logits, maps = [] } = await model.forward(tokens, { mapsFrom: 0 })
  logits.dispose()
  return inspect.headRoles(maps, tokens).map((heads) => heads.map((roles) => ({ ...roles, role: roleOf(roles) })))
}

function roleOf(roles: inspect.HeadRoles): HeadRole | undefined {
  const names: readonly HeadRole[] = ['previousToken', 'firstToken', 'duplicateToken', 'induction']
  return names.find((name) => roles[name] > namingShare)
}
