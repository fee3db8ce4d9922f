import {
  firstPosition,
  isHostTensor,
  tensor,
  toFloat64,
  type AttentionProblem,
  type Backend,
  type HostTensor,
  type Tensor,
} from '@qkv/core'
import type { ContentScore, EmbeddingEncoding, PositionEncoding, Positions, RotaryEncoding, ScoreEncoding } from '@qkv/positional'
import { invalid, refused } from './refuse.ts'

/** How attention learns the order of tokens. */
export interface PositionOptions {
  /**
   * One encoding, or several that stack. Whatever their order: those that follow content read queries and keys as they
   * come, then rotary ones turn them, and then scores change, one after another in the list's order. An embedding is added
   * to what a layer projects: `MultiHeadAttention` takes it, and functions of queries and keys refuse it.
   */
  readonly position?: PositionEncoding | readonly PositionEncoding[] | undefined
  /**
   * Where queries and keys stand, for rotary encodings. By default keys count from 0 and queries stand where `causal`
   * has them: the last query at the last valid key.
   */
  readonly positions?: { readonly query?: Positions | undefined; readonly key?: Positions | undefined } | undefined
}

/** One, several or none, as a list. */
export function listOf(position: PositionOptions['position']): readonly PositionEncoding[] {
  if (position === undefined) return []
  return 'kind' in position ? [position] : position
}

/** @returns the encodings that act in attention, none where there are none. @throws QkvError `OPTION_INVALID` for others. */
export function encodingsOf(operation: string, position: PositionOptions['position']): readonly (RotaryEncoding | ScoreEncoding)[] {
  return listOf(position).map((encoding) => {
    if (encoding?.kind === 'rotary' || encoding?.kind === 'score') return encoding
    throw invalid(operation, 'position', 'rotary or score encodings', encoding?.kind ?? String(encoding))
  })
}

/** @throws QkvError `OPTION_INVALID` for positions that nothing follows. */
export function checkPositions(
  operation: string,
  encodings: readonly PositionEncoding[],
  positions: PositionOptions['positions'] | Positions,
): void {
  if (positions === undefined || encodings.some(({ kind }) => kind !== 'score')) return
  throw invalid(operation, 'positions', 'absent where no encoding follows them', 'positions')
}

/**
 * @param lengths whether sequences have lengths of their own
 * @throws QkvError unless vectors have room for what turns, and one length serves all where frequencies follow it.
 */
export function checkRotaries(
  operation: string,
  encodings: readonly (RotaryEncoding | ScoreEncoding)[],
  headDim: number,
  lengths: boolean,
): void {
  for (const { dim, followsLength } of encodings.filter(isRotary)) {
    if (dim > headDim) {
      throw refused('SHAPE_MISMATCH', operation, 'position', `rotary over at most the head size ${headDim}`, `one over ${dim}`)
    }
    if (followsLength && lengths) {
      throw invalid(operation, 'position', 'rotary that does not follow the length', 'one that does')
    }
  }
}

/** (Callers without types may give anything.) */
export function isEmbedding(encoding: PositionEncoding | undefined): encoding is EmbeddingEncoding {
  return encoding?.kind === 'embedding'
}

export function isRotary(encoding: RotaryEncoding | ScoreEncoding): encoding is RotaryEncoding {
  return encoding.kind === 'rotary'
}

export function followsContent(encoding: RotaryEncoding | ScoreEncoding): encoding is ContentScore {
  return encoding.kind === 'score' && encoding.follows === 'content'
}

export interface Places {
  readonly query: Positions
  readonly key: Positions
  /** One more than the largest of all positions, for encodings whose frequencies follow it. */
  readonly contextLength: number
}

/** Where each query and key of a problem stands. */
export function placesOf(
  problem: AttentionProblem,
  positions: PositionOptions['positions'],
  lengths: HostTensor | undefined,
): Places {
  const query = positions?.query ?? queryPositions(problem, lengths)
  const key = positions?.key ?? { start: 0, length: problem.keyLength }
  return { query, key, contextLength: Math.max(0, largest(query), largest(key)) + 1 }
}

/** Where the first query of each batch entry stands. */
export function queryStarts(problem: AttentionProblem, lengths: HostTensor | undefined): number[] {
  const { batch, keyLength } = problem
  const valid = lengths === undefined ? new Array<number>(batch).fill(keyLength) : [...toFloat64(lengths)]
  return valid.map((validKeys) => firstPosition(problem, validKeys))
}

function queryPositions(problem: AttentionProblem, lengths: HostTensor | undefined): Positions {
  const { queryLength, keyLength } = problem
  if (lengths === undefined) return { start: firstPosition(problem, keyLength), length: queryLength }
  return placesFrom(queryStarts(problem, lengths), queryLength)
}

/** Places of `count` tokens of each batch entry, one after another from its start; [batch, count], none below `lowest`. */
export function placesFrom(starts: readonly number[], count: number, lowest: number = -Infinity): HostTensor {
  const places = starts.flatMap((start) => Array.from({ length: count }, (_, row) => Math.max(lowest, start + row)))
  return tensor(places, [starts.length, count], { dtype: 'int32' })
}

function largest(positions: Positions): number {
  if ('start' in positions) return positions.start + positions.length - 1
  const numbers = 'storage' in positions ? toFloat64(positions) : positions
  let highest = -Infinity
  for (const number of numbers) highest = Math.max(highest, number)
  return highest
}

/** A tensor's elements in host memory; itself where it is there already. */
export async function bringHome(backend: Backend, view: Tensor): Promise<HostTensor> {
  return isHostTensor(view) ? view : tensor(await backend.read(view), view.shape, { dtype: view.dtype })
}
