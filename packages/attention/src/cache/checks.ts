import { slice, type Tensor } from '@qkv/core'
import { checkShape, checkWhole, invalid } from '../refuse.ts'
import type { CacheState } from './cache.ts'
import { storedVector, type CacheLayout } from './layout.ts'

/** @throws QkvError unless there is a number for each batch entry, from 0 to its most. */
export function checkEntries(operation: string, argument: string, numbers: readonly number[], most: readonly number[]): void {
  const fits = numbers.length === most.length && numbers.every((n, entry) => Number.isSafeInteger(n) && n >= 0 && n <= most[entry]!)
  if (fits) return
  throw invalid(operation, argument, `${most.length} whole numbers, at most ${most.join(', ')}`, `[${numbers.join(',')}]`)
}

/** How many of the `tokens` that come each batch entry takes in. @throws QkvError as {@link checkEntries} does. */
export function countsTaken(counts: readonly number[] | undefined, tokens: number, entries: number): readonly number[] {
  const all = new Array<number>(entries).fill(tokens)
  if (counts !== undefined) checkEntries('append', 'counts', counts, all)
  return counts ?? all
}

/** The length that each batch entry is cut back to. @throws QkvError unless none gets longer, where each has its own. */
export function lengthsLeft(length: number | readonly number[], held: readonly number[]): readonly number[] {
  if (typeof length !== 'number') {
    checkEntries('truncate', 'length', length, held)
    return length
  }
  checkWhole('truncate', 'length', [length], 0, Math.max(...held))
  return held.map((own) => Math.min(own, length))
}

/** The tokens of one batch entry, its last `count`. */
export function entryOf(view: Tensor, entry: number, count: number): Tensor {
  const tokens = view.shape[2] ?? 0
  return slice(slice(view, 0, entry, entry + 1), 2, tokens - count, tokens)
}

/** @throws QkvError unless `state` is one of this kind and layout, its tensors as it says. */
export function checkRestored(
  state: CacheState,
  kind: CacheState['kind'],
  layout: CacheLayout,
  { window, sinks }: Pick<CacheState, 'window' | 'sinks'> = {},
): void {
  const expect = (argument: string, expected: unknown, received: unknown): void => {
    if (received !== expected) throw invalid('restore', argument, String(expected), String(received))
  }
  expect('state.kind', kind, state?.kind)
  expect('state.window', window, state.window)
  expect('state.sinks', sinks, state.sinks)
  for (const name of ['batch', 'heads', 'headDim', 'valueDim', 'dtype', 'groupSize'] as const) {
    expect(`state.layout.${name}`, layout[name], state.layout[name])
  }
  const { batch, heads } = layout
  const held = kind === 'sliding' ? (state.stored.key.shape[2] ?? 0) : state.length
  for (const [part, dim] of [
    ['key', layout.headDim],
    ['value', layout.valueDim],
  ] as const) {
    const { elements, scales } = storedVector(layout, dim)
    const expectShape = (name: keyof CacheState['stored'], width: number): void =>
      checkShape('restore', `state.stored.${name}`, state.stored[name]?.shape ?? [], [batch, heads, held, width])
    expectShape(part, elements)
    if (scales > 0) expectShape(`${part}Scales`, scales)
  }
}
