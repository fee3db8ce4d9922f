import { inspect } from '@qkv/attention'
import { alibi } from '@qkv/positional'
import type { WeightRows } from '../draw/attention-map.ts'
import { madeUpVectors } from './vectors.ts'

export interface WordOptions {
  readonly heads: number
  readonly causal: boolean
  /** How many words a word sees to its left; undefined = all. */
  readonly window: number | undefined
  readonly alibi: boolean
}

/** Attention among words with made-up vectors: for each head, a row of weights a word. */
export function attendWords(words: readonly string[], options: WordOptions): readonly WeightRows[] {
  const { heads, causal } = options
  if (words.length === 0) return []
  const { query, key } = madeUpVectors(words, heads, 16)
  const weights = inspect.weights(query, key, {
    causal,
    window: options.window === undefined ? undefined : { left: options.window },
    position: options.alibi ? alibi({ heads }) : undefined,
  })
  return weights
}

/** Words as people see them, punctuation kept with the word before. */
export function splitWords(text: string, limit: number): string[] {
  return text.split(/\s+/).filter(Boolean).slice(0, limit)
}
