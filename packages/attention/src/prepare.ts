import {
  composeScores,
  problem,
  type AttentionProblem,
  type Backend,
  type ProblemOptions,
  type RotaryTable,
  type ScoreMod,
  type Tensor,
} from '@qkv/core'
import type { ContentScore, RotaryEncoding } from '@qkv/positional'
import { bringHome, checkPositions, placesOf, type PositionOptions } from './positions.ts'
import { checkBackend, invalid, refused } from './refuse.ts'

/** A problem with its positions already in it: rotated queries and keys, or a score change. */
export interface PreparedProblem {
  readonly problem: AttentionProblem
  /** How queries and keys were turned; undefined unless they were. */
  readonly rotary: { readonly query: RotaryTable; readonly key: RotaryTable } | undefined
  /** Gives back the rotated copies; what was computed from them stays. */
  dispose(): void
}

interface PreparedOptions extends ProblemOptions, PositionOptions {
  readonly backend: Backend
}

/**
 * Validates everything, then brings the positions into the problem: whatever encoding there was, a backend sees queries,
 * keys and score expressions.
 */
export async function prepare(
  operation: string,
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: PreparedOptions,
): Promise<PreparedProblem> {
  const { backend, position } = options
  checkBackend(operation, backend)
  checkPositions(operation, position, options.positions)
  const plain = problem(query, key, value, options)
  switch (position?.kind) {
    case undefined:
      return unchanged(plain)
    case 'rotary':
      return rotate(operation, plain, position, options)
    case 'score': {
      if (position.follows === 'content') return withTerms(plain, position, options)
      return unchanged(problem(query, key, value, { ...options, score: compose(position.scoreMod, options.score) }))
    }
    case 'embedding':
      throw invalid(operation, 'position', 'rotary or a score encoding', 'an embedding, which the first inputs take')
  }
}

async function rotate(
  operation: string,
  plain: AttentionProblem,
  position: RotaryEncoding,
  options: PreparedOptions,
): Promise<PreparedProblem> {
  const { backend } = options
  if (position.dim > plain.headDim) {
    throw refused(
      'SHAPE_MISMATCH',
      operation,
      'position',
      `rotary over at most the head size ${plain.headDim}`,
      `one over ${position.dim}`,
    )
  }
  const lengths = plain.lengths && (await bringHome(backend, plain.lengths))
  const places = placesOf(plain, options.positions, lengths)
  const rotary = {
    query: position.table(places.query, 'query', places.contextLength),
    key: position.table(places.key, 'key', places.contextLength),
  }
  const query = backend.rotate(plain.query, rotary.query)
  const key = backend.rotate(plain.key, rotary.key)
  const dispose = (): void => {
    query.dispose()
    key.dispose()
  }
  return { problem: problem(query, key, plain.value, options), rotary, dispose }
}

/** A score encoding that reads queries and keys: it makes new ones, on the host. */
async function withTerms(plain: AttentionProblem, position: ContentScore, options: PreparedOptions): Promise<PreparedProblem> {
  const { backend } = options
  const terms = position.terms({
    query: await bringHome(backend, plain.query),
    key: await bringHome(backend, plain.key),
    scale: plain.scale,
  })
  const score = terms.scoreMod === undefined ? options.score : compose(terms.scoreMod, options.score)
  return unchanged(problem(terms.query, terms.key, plain.value, { ...options, score, scale: plain.scale }))
}

function compose(first: ScoreMod, then: ScoreMod | undefined): ScoreMod {
  return then === undefined ? first : composeScores(first, then)
}

function unchanged(problem: AttentionProblem): PreparedProblem {
  return { problem, rotary: undefined, dispose: () => {} }
}
