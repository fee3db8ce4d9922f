import { problem, type AttentionProblem, type Backend, type ProblemOptions, type RotaryTable, type Tensor } from '@qkv/core'
import { positioned, type Positioned } from './positioned.ts'
import { bringHome, checkPositions, encodingsOf, followsContent, type PositionOptions } from './positions.ts'
import { copied } from './copied.ts'
import { checkBackend } from './refuse.ts'
import { allOrNone } from './temporaries.ts'

/** A problem that needs no encodings any more: they have become part of its queries, keys and score expression. */
export interface PreparedProblem extends Pick<Positioned, 'terms' | 'turns'> {
  readonly problem: AttentionProblem
  /** Gives back the copies made on the way; what was computed from them stays. */
  dispose(): void
}

interface PreparedOptions extends ProblemOptions, PositionOptions {
  readonly backend: Backend
}

/** Validates everything, then brings the positions into the problem. */
export async function prepare(
  operation: string,
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: PreparedOptions,
): Promise<PreparedProblem> {
  const { backend, position, positions } = options
  checkBackend(operation, backend)
  const encodings = encodingsOf(operation, position)
  checkPositions(operation, encodings, positions)
  const plain = problem(query, key, value, options)
  if (encodings.length === 0) return { problem: plain, terms: [], turns: [], dispose: () => {} }

  const home = async (view: Tensor): Promise<Tensor> => bringHome(backend, view)
  const readable = {
    ...plain,
    lengths: plain.lengths && (await home(plain.lengths)),
    ...(encodings.some(followsContent) && { query: await home(plain.query), key: await home(plain.key) }),
  }
  return allOrNone((scope) => {
    const turned = (view: Tensor, table: RotaryTable): Tensor => scope.keep(backend.rotate(view, table))
    const made = positioned(operation, readable, encodings, options, turned)
    // Keys that an encoding made are float32, and values have to be what keys are.
    const values = made.key.dtype === key.dtype ? value : copied(backend, value, scope, made.key.dtype)
    return {
      ...made,
      problem: problem(made.query, made.key, values, { ...options, score: made.score, scale: plain.scale }),
      dispose: scope.dispose,
    }
  })
}
