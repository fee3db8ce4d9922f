import { tensor, type HostTensor } from '@qkv/core'

export interface MadeUpVectors {
  /** Each [1, heads, words, dim]. */
  readonly query: HostTensor
  readonly key: HostTensor
  readonly value: HostTensor
}

/**
 * Vectors for words that no model has learned: each word is the sum of pseudo-random vectors of its letter pairs, so
 * words that share letters point the same way. Queries equal keys, so a word looks for words spelled like itself.
 */
export function madeUpVectors(words: readonly string[], heads: number, dim: number): MadeUpVectors {
  const shape = [1, heads, words.length, dim]
  const keys = new Float32Array(heads * words.length * dim)
  const values = new Float32Array(heads * words.length * dim)
  for (let head = 0; head < heads; head++) {
    words.forEach((word, index) => {
      const row = (head * words.length + index) * dim
      keys.set(wordVector(word, dim, head), row)
      values.set(wordVector(word, dim, heads + head), row)
    })
  }
  const key = tensor(keys, shape)
  return { query: key, key, value: tensor(values, shape) }
}

function wordVector(word: string, dim: number, seed: number): Float32Array {
  const vector = new Float32Array(dim)
  const letters = `^${word.toLowerCase()}$`
  for (let index = 0; index + 1 < letters.length; index++) {
    let state = hash(letters.slice(index, index + 2), seed)
    for (let i = 0; i < dim; i++) {
      state = next(state)
      vector[i] = vector[i]! + state / 2 ** 31 - 1
    }
  }
  const length = Math.hypot(...vector) || 1
  // Length √dim keeps the scores q·k/√dim of a word with itself at √dim: sharp, but not a one-hot.
  return vector.map((component) => (component / length) * Math.sqrt(dim))
}

function hash(text: string, seed: number): number {
  let state = (0x811c9dc5 ^ Math.imul(seed + 1, 0x9e3779b1)) >>> 0
  for (const letter of text) state = Math.imul(state ^ letter.codePointAt(0)!, 0x01000193) >>> 0
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
