import { problem, type AttentionProblem, type Backend, type ProblemOptions, type RotaryTable, type Tensor } from '@qkv/core'
import { positioned, type Positioned } from './positioned.ts'
import { bringHome, checkPositions, encodingsOf, followsContent, type PositionOptions } from './positions.ts'
import { checkBackend } from './refuse.ts'
import { temporaries, type Temporaries } from './temporaries.ts'

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
  const scope = temporaries()
  if (encodings.length === 0) return { problem: plain, terms: [], turns: [], dispose: scope.dispose }

  const home = async (view: Tensor): Promise<Tensor> => bringHome(backend, view)
  const readable = {
    ...plain,
    lengths: plain.lengths && (await home(plain.lengths)),
    ...(encodings.some(followsContent) && { query: await home(plain.query), key: await home(plain.key) }),
  }
  const turned = (view: Tensor, table: RotaryTable): Tensor => scope.keep(backend.rotate(view, table))
  try {
    const made = positioned(operation, readable, encodings, options, turned)
    const values = made.key.dtype === key.dtype ? value : widened(backend, value, scope)
    return {
      ...made,
      problem: problem(made.query, made.key, values, { ...options, score: made.score, scale: plain.scale }),
      dispose: scope.dispose,
    }
  } catch (error) {
    scope.dispose()
    throw error
  }
}

/** In float32, as the keys that an encoding made. */
function widened(backend: Backend, value: Tensor, scope: Temporaries): Tensor {
  const wide = scope.keep(backend.empty(value.shape))
  backend.copy(value, wide)
  return wide
}
