import { inspect } from '@qkv/attention'
import { alibi } from '@qkv/positional'
import type { WeightRows } from '../draw/map-painter.ts'
import { madeUpVectors } from './vectors.ts'

export interface WordOptions {
  readonly heads: number
  readonly causal: boolean
  /** How many words a word sees to its left; undefined = all. */
  readonly window: number | undefined
  readonly alibi: boolean
  /** Whether a word may also look nowhere. */
  readonly sink: boolean
}

/** A sink’s score: a word like none of the others keeps half of its gaze to itself. */
const sinkLogit = 3

/** Attention among words with made-up vectors: for each head, a row of weights a word. */
export function attendWords(
  words: readonly string[],
  { heads, causal, window, alibi: nearer, sink }: WordOptions,
): readonly WeightRows[] {
  if (words.length === 0) return Array.from({ length: heads }, () => [])
  const { query, key } = madeUpVectors(words, heads)
  return inspect.weights(query, key, {
    causal,
    window: window === undefined ? undefined : { left: window },
    sinks: sink ? Array.from({ length: heads }, () => sinkLogit) : undefined,
    position: nearer ? alibi({ heads }) : undefined,
  })
}

/** Words as people see them, punctuation kept with the word before. */
export function splitWords(text: string, limit: number): string[] {
  return text.split(/\s+/).filter(Boolean).slice(0, limit)
}
