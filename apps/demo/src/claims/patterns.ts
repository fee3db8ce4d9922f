import { and, capture, maskMod, or, tensor, type MaskMod } from '@qkv/core'

const causal = maskMod(({ query, key }) => key.le(query))

/** A way to say who may see whom. */
export interface Pattern {
  readonly name: string
  /** In a sentence. */
  readonly says: string
  mask(tokens: number): MaskMod
}

export const patterns: readonly Pattern[] = [
  { name: 'causal', says: 'each token sees itself and those before it', mask: () => causal },
  { name: 'sliding window', says: 'causal, but only the last eighth of the text', mask: (tokens) => and(causal, near(tokens / 8)) },
  { name: 'window with sinks', says: 'the window, and always the first few tokens', mask: (tokens) => and(causal, or(near(tokens / 8), first(tokens / 32))) },
  { name: 'prefix', says: 'a prompt that sees all of itself, then causal', mask: (tokens) => or(causal, first(tokens / 4)) },
  { name: 'documents', says: 'several texts in one row, none seeing another', mask: (tokens) => and(causal, sameDocument(tokens)) },
  { name: 'dilated', says: 'every fourth token before it', mask: () => and(causal, every(4)) },
]

function near(tokens: number): MaskMod {
  return maskMod(({ query, key }) => query.sub(key).lt(Math.round(tokens)))
}

function first(tokens: number): MaskMod {
  return maskMod(({ key }) => key.lt(Math.round(tokens)))
}

function every(step: number): MaskMod {
  return maskMod(({ query, key }) => query.sub(key).mod(step).eq(0))
}

/** Five documents of growing length. */
function sameDocument(tokens: number): MaskMod {
  const ends = [1, 3, 6, 10, 15].map((part) => (part * tokens) / 15)
  const numbers = Int32Array.from({ length: tokens }, (_, token) => ends.findIndex((end) => token < end))
  const document = capture(tensor(numbers, [tokens]))
  return maskMod(({ query, key }) => document.at(query).eq(document.at(key)))
}
