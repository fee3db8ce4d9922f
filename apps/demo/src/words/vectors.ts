import { tensor, type HostTensor } from '@qkv/core'

/** Elements of each made-up vector. */
export const wordDim = 16

export interface MadeUpVectors {
  /** Each [1, heads, words, wordDim]. */
  readonly query: HostTensor
  readonly key: HostTensor
  readonly value: HostTensor
}

/**
 * Vectors for words that no model has learned: each word is the sum of pseudo-random vectors of its letter pairs, so
 * words that share letters point the same way. Queries equal keys, so a word looks for words spelled like itself.
 */
export function madeUpVectors(words: readonly string[], heads: number): MadeUpVectors {
  const shape = [1, heads, words.length, wordDim]
  const vectors = (seed: number): HostTensor => {
    const all = Array.from({ length: heads }, (_, head) => words.map((word) => wordVector(word, seed + head)))
    return tensor(Float32Array.from(all.flat().flatMap((vector) => [...vector])), shape)
  }
  const key = vectors(0)
  return { query: key, key, value: vectors(heads) }
}

function wordVector(word: string, seed: number): Float32Array {
  const vector = new Float32Array(wordDim)
  const letters = [...`^${word.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '')}$`]
  for (let index = 0; index + 1 < letters.length; index++) {
    let state = hash(`${letters[index]}${letters[index + 1]}`, seed)
    vector.forEach((component, c) => {
      state = next(state)
      vector[c] = component + state / 2 ** 31 - 1
    })
  }
  const length = Math.hypot(...vector) || 1
  // Length √dim keeps the scores q·k/√dim of a word with itself at √dim: sharp, but not a one-hot.
  return vector.map((component) => (component / length) * Math.sqrt(wordDim))
}

function hash(text: string, seed: number): number {
  let state = (0x811c9dc5 ^ Math.imul(seed + 1, 0x9e3779b1)) >>> 0
  for (const letter of text) state = Math.imul(state ^ (letter.codePointAt(0) ?? 0), 0x01000193) >>> 0
  return state || 1
}

/** Xorshift32 (Marsaglia 2003). */
function next(state: number): number {
  let x = state
  x ^= x << 13
  x ^= x >>> 17
  x ^= x << 5
  return x >>> 0
}
