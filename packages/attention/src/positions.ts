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
import type { PositionEncoding, Positions } from '@qkv/positional'
import { invalid } from './refuse.ts'

/** How attention learns the order of tokens. */
export interface PositionOptions {
  /**
   * A rotary encoding turns queries and keys before they meet, a score encoding changes the scores. An embedding belongs
   * to the inputs of the first layer and is refused here.
   */
  readonly position?: PositionEncoding | undefined
  /**
   * Where queries and keys stand, for a rotary encoding. By default keys count from 0 and queries stand where `causal`
   * has them: the last query at the last valid key.
   */
  readonly positions?: { readonly query?: Positions | undefined; readonly key?: Positions | undefined } | undefined
}

/** @throws QkvError `OPTION_INVALID` for positions that nothing follows. */
export function checkPositions(operation: string, position: PositionEncoding | undefined, positions: unknown): void {
  if (positions === undefined || position?.kind === 'rotary') return
  throw invalid(operation, 'positions', 'absent without a rotary position', 'positions')
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

function queryPositions(problem: AttentionProblem, lengths: HostTensor | undefined): Positions {
  const { batch, queryLength, keyLength } = problem
  if (lengths === undefined) return { start: firstPosition(problem, keyLength), length: queryLength }
  const starts = [...toFloat64(lengths)].map((validKeys) => firstPosition(problem, validKeys))
  const positions = starts.flatMap((start) => Array.from({ length: queryLength }, (_, row) => start + row))
  return tensor(positions, [batch, queryLength], { dtype: 'int32' })
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
