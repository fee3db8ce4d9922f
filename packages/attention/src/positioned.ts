import { composeScores, type AttentionProblem, type RotaryTable, type ScoreMod, type Tensor } from '@qkv/core'
import type { ContentScore, ContentTerms, RotaryEncoding, ScoreEncoding } from '@qkv/positional'
import { checkRotaries, isRotary, placesOf, queryStarts, type Places, type PositionOptions } from './positions.ts'
import { onHost } from './refuse.ts'

/** What encodings made of a problem's queries, keys and scores, and the steps that the backward pass retraces. */
export interface Positioned {
  readonly query: Tensor
  readonly key: Tensor
  /** All score changes, the caller's own last. */
  readonly score: ScoreMod | undefined
  /** What encodings that follow content made, in order. */
  readonly terms: readonly { readonly encoding: ContentScore; readonly made: ContentTerms }[]
  /** How queries and keys were turned after that, in order. */
  readonly turns: readonly Turn[]
}

/** A turn of queries and keys by one encoding. */
export interface Turn {
  readonly encoding: RotaryEncoding
  readonly places: Places
  readonly tables: { readonly query: RotaryTable; readonly key: RotaryTable }
  /** What came out. */
  readonly query: Tensor
  readonly key: Tensor
}

/**
 * Brings encodings into a problem, as `PositionOptions` says they stack.
 *
 * @param plain with lengths in host memory; queries and keys too, where an encoding follows content
 * @param rotate turns vectors, wherever they live
 */
export function positioned(
  operation: string,
  plain: AttentionProblem,
  encodings: readonly (RotaryEncoding | ScoreEncoding)[],
  { positions, score }: PositionOptions & { readonly score?: ScoreMod | undefined },
  rotate: (view: Tensor, table: RotaryTable) => Tensor,
): Positioned {
  checkRotaries(operation, encodings, plain.headDim, plain.lengths !== undefined)
  const lengths = plain.lengths && onHost(operation, 'lengths', plain.lengths)
  let { query, key } = plain
  const scores: ScoreMod[] = []
  const terms: { encoding: ContentScore; made: ContentTerms }[] = []
  for (const encoding of encodings) {
    if (encoding.kind === 'rotary') continue
    if (encoding.follows === 'positions') {
      scores.push(encoding.scoreMod)
      continue
    }
    const inputs = { query: onHost(operation, 'query', query), key: onHost(operation, 'key', key) }
    const made = encoding.terms({ ...inputs, scale: plain.scale, starts: queryStarts(plain, lengths) })
    terms.push({ encoding, made })
    query = made.query
    key = made.key
    if (made.scoreMod) scores.push(made.scoreMod)
  }
  if (score) scores.push(score)

  // All tables before the first turn: they refuse positions that they do not take.
  const rotaries = encodings.filter(isRotary).map((encoding) => {
    const places = placesOf(plain, positions, lengths)
    const query = encoding.table(places.query, 'query', places.contextLength)
    return { encoding, places, tables: { query, key: encoding.table(places.key, 'key', places.contextLength) } }
  })
  const turns = rotaries.map((turn): Turn => {
    query = rotate(query, turn.tables.query)
    key = rotate(key, turn.tables.key)
    return { ...turn, query, key }
  })
  return { query, key, score: scores.length === 0 ? undefined : composeScores(...scores), terms, turns }
}
