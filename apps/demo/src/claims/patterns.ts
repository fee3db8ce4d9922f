import {
  and,
  causal,
  chunked,
  dilated,
  documents,
  neighbourhood,
  or,
  prefix,
  sinkTokens,
  slidingWindow,
  type MaskMod,
} from '@qkv/core'

/** A way to say who may see whom. */
export interface Pattern {
  readonly name: string
  /** In a sentence. */
  readonly says: string
  mask(tokens: number): MaskMod
}

export const patterns: readonly Pattern[] = [
  { name: 'causal', says: 'each token sees itself and those before it', mask: () => causal() },
  { name: 'sliding window', says: 'causal, but only the last eighth of the text', mask: (tokens) => slidingWindow(tokens / 8) },
  {
    name: 'window with sinks',
    says: 'the window, and always the first few tokens',
    mask: (tokens) => and(causal(), or(slidingWindow(tokens / 8), sinkTokens(tokens / 32))),
  },
  { name: 'prefix', says: 'a prompt that sees all of itself, then causal', mask: (tokens) => or(causal(), prefix(tokens / 4)) },
  {
    name: 'documents',
    says: 'several texts in one row, none seeing another',
    mask: (tokens) => and(causal(), documents(fiveTexts(tokens))),
  },
  { name: 'chunks', says: 'causal, within chunks of a quarter', mask: (tokens) => and(causal(), chunked(tokens / 4)) },
  { name: 'dilated', says: 'every fourth token before it', mask: () => and(causal(), dilated(4)) },
  {
    name: 'image',
    says: 'pixels of a picture, each seeing those around it',
    mask: (tokens) => neighbourhood({ height: tokens / 64, width: 64 }, 9),
  },
]

/** Which of five texts, each longer than the last, a token belongs to. */
function fiveTexts(tokens: number): number[] {
  const ends = [1, 3, 6, 10, 15].map((part) => (part * tokens) / 15)
  return Array.from({ length: tokens }, (_, token) => ends.findIndex((end) => token < end))
}
