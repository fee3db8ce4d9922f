import { engine } from '../engine/client.ts'
import { computing } from '../engine/computing.svelte.ts'
import type { AttendRequest } from '../engine/engine.ts'
import { madeUpVectors, wordDim } from '../words/vectors.ts'

export interface OutputOptions {
  readonly causal: boolean
  readonly rotary: boolean
}

/**
 * What attention gives each word: the blend of values that it takes. One head, made-up vectors, on the page's backend; an effect that
 * calls this runs anew when the backend changes.
 */
export async function wordOutputs(words: readonly string[], options: OutputOptions): Promise<readonly Float32Array[]> {
  void computing.turn
  const flat = await engine.attend(requestOf(words, options))
  return words.map((_, index) => flat.slice(index * wordDim, (index + 1) * wordDim))
}

/** Attention among words with made-up vectors, as the engine is asked. */
export function requestOf(words: readonly string[], { causal, rotary }: OutputOptions): AttendRequest {
  const { query, key, value } = madeUpVectors(words, 1)
  return {
    query: Float32Array.from(query.storage),
    key: Float32Array.from(key.storage),
    value: Float32Array.from(value.storage),
    heads: 1,
    dim: wordDim,
    causal,
    rotary,
  }
}

/** The largest difference between two vectors' elements. */
export function change(before: Float32Array | undefined, after: Float32Array | undefined): number | undefined {
  if (!before || !after) return undefined
  return before.reduce((largest, component, index) => Math.max(largest, Math.abs(component - (after[index] ?? NaN))), 0)
}

/** Float32 rounds at about this size here: what is below it is no change. */
export const rounding = 1e-5

export function sayChange(amount: number): string {
  if (amount === 0) return 'exactly the same'
  return amount < rounding ? `the same, to rounding (${amount.toExponential(0)})` : `changed by up to ${amount.toFixed(2)}`
}
