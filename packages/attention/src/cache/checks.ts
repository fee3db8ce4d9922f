import type { QkvError } from '@qkv/core'
import { checkShape, refused } from '../refuse.ts'
import type { CacheState } from './cache.ts'
import { storedVector, type CacheLayout } from './layout.ts'

/** Whether a cache may be used: one append at a time, and none after disposal. */
export class Turn {
  readonly #cache: string
  #appending = false
  disposed = false

  constructor(cache: string) {
    this.#cache = cache
  }

  /** Runs an append alone. */
  async take(append: () => Promise<void>): Promise<void> {
    this.check()
    this.#appending = true
    try {
      await append()
    } finally {
      this.#appending = false
    }
  }

  /** @throws QkvError `DISPOSED`, or `OPTION_INVALID` while an append has not settled. */
  check(): void {
    if (this.disposed) throw refused('DISPOSED', this.#cache, 'cache', 'not disposed', 'a disposed one')
    if (this.#appending)
      throw refused('OPTION_INVALID', this.#cache, 'cache', 'used after its append has settled (await it)', 'one that is appending')
  }

  /** Ends its use; false where it had ended before. */
  end(): boolean {
    const first = !this.disposed
    this.disposed = true
    return first
  }
}

export function checkTruncation(cache: string, length: number, shortest: number, longest: number): void {
  if (Number.isSafeInteger(length) && length >= shortest && length <= longest) return
  throw refused('OPTION_INVALID', `${cache}.truncate`, 'length', `a whole number from ${shortest} to ${longest}`, String(length))
}

/** @throws QkvError unless `state` is one of this kind and layout that fits, its tensors as it says. */
export function checkRestored(
  operation: string,
  state: CacheState,
  kind: CacheState['kind'],
  layout: CacheLayout,
  capacity: number = Infinity,
): void {
  const mismatch = (argument: string, expected: string, received: unknown): QkvError =>
    refused('OPTION_INVALID', operation, argument, expected, String(received))
  if (state?.kind !== kind) throw mismatch('state.kind', kind, state?.kind)
  for (const name of ['batch', 'heads', 'headDim', 'valueDim', 'dtype', 'groupSize'] as const) {
    if (state.layout[name] !== layout[name]) throw mismatch(`state.layout.${name}`, String(layout[name]), state.layout[name])
  }
  if (state.length > capacity)
    throw refused('LIMIT_EXCEEDED', operation, 'state.length', `at most ${capacity}`, String(state.length))
  const { batch, heads, headDim, valueDim } = layout
  const held = kind === 'sliding' ? (state.stored.key.shape[2] ?? 0) : state.length
  const keys = storedVector(layout, headDim)
  const values = storedVector(layout, valueDim)
  checkShape(operation, 'state.stored.key', state.stored.key.shape, [batch, heads, held, keys.elements])
  checkShape(operation, 'state.stored.value', state.stored.value.shape, [batch, heads, held, values.elements])
  if (layout.groupSize === 0) return
  checkShape(operation, 'state.stored.keyScales', state.stored.keyScales?.shape ?? [], [batch, heads, held, keys.scales])
  checkShape(operation, 'state.stored.valueScales', state.stored.valueScales?.shape ?? [], [batch, heads, held, values.scales])
}
