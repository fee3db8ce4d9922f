import type { AttentionProblem } from './problem.ts'
import { isHostTensor } from './tensor.ts'

/** All of a problem that decides which keys a query sees. */
export type Visibility = Pick<
  AttentionProblem,
  'batch' | 'queryHeads' | 'queryLength' | 'keyLength' | 'alignment' | 'causal' | 'window' | 'lengths' | 'mask' | 'maskMod'
>

/** Keys `first ≤ key < end`; empty when `end ≤ first`. */
export interface KeyRange {
  readonly first: number
  readonly end: number
}

/** The position of query row 0 among the keys; row `i` stands `i` further. Negative where rows outnumber valid keys. */
export function firstPosition(problem: Pick<AttentionProblem, 'alignment' | 'queryLength'>, validKeys: number): number {
  return problem.alignment === 'upper-left' ? 0 : validKeys - problem.queryLength
}

/**
 * The keys that `causal`, `window` and the sequence's length leave visible to the query at `position`. Masks and
 * expressions can only take from these. Both ends grow with the position, so ranges of rows follow from their ends.
 */
export function visibleKeys(problem: Pick<AttentionProblem, 'causal' | 'window'>, position: number, validKeys: number): KeyRange {
  const right = problem.causal ? Math.min(0, problem.window.right) : problem.window.right
  return {
    first: Math.max(0, Math.min(validKeys, position - problem.window.left)),
    end: Math.max(0, Math.min(validKeys, position + right + 1)),
  }
}

/** How many keys of a batch entry are valid: at least, and at most. They differ where a backend holds the lengths. */
export function validKeysOf(
  { lengths, keyLength }: Pick<AttentionProblem, 'lengths' | 'keyLength'>,
  entry: number,
): readonly [number, number] {
  if (lengths === undefined) return [keyLength, keyLength]
  if (!isHostTensor(lengths)) return [0, keyLength]
  const length = lengths.storage[lengths.offset + entry * (lengths.strides[0] ?? 0)] ?? 0
  return [length, length]
}
