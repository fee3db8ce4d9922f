import TinyQueue from 'tinyqueue'

/** The pieces that merging may make. */
export interface Vocabulary {
  /** The text of each token. */
  readonly names: readonly string[]
  /** Pairs merge in order of the score of what they become, highest first. */
  readonly scores: readonly number[]
  readonly tokenOf: ReadonlyMap<string, number>
}

/**
 * Byte-pair encoding as SentencePiece does it: of all neighbours that together are a token, the pair with the highest
 * score (the leftmost of equals) becomes one, until none is left. Neighbours wait in a queue, so n symbols take n log n.
 */
export function mergeByScore(symbols: readonly number[], vocabulary: Vocabulary): number[] {
  const tokens: (number | undefined)[] = [...symbols]
  const previous = symbols.map((_, index) => index - 1)
  const next = symbols.map((_, index) => index + 1)
  const queue = new TinyQueue<Merge>([], (a, b) => b.score - a.score || a.left - b.left)

  const propose = (left: number, right: number): void => {
    const first = tokens[left]
    const second = tokens[right]
    if (first === undefined || second === undefined) return
    const token = vocabulary.tokenOf.get(`${vocabulary.names[first]}${vocabulary.names[second]}`)
    if (token !== undefined) queue.push({ left, right, first, second, token, score: vocabulary.scores[token] ?? -Infinity })
  }

  for (let index = 0; index + 1 < symbols.length; index++) propose(index, index + 1)
  for (let merge = queue.pop(); merge; merge = queue.pop()) {
    const { left, right } = merge
    // One of the two may have merged with its other neighbour in the meantime.
    if (tokens[left] !== merge.first || tokens[right] !== merge.second) continue
    const after = next[right] ?? symbols.length
    tokens[left] = merge.token
    tokens[right] = undefined
    next[left] = after
    previous[after] = left
    propose(previous[left] ?? -1, left)
    propose(left, after)
  }
  return tokens.filter((token) => token !== undefined)
}

interface Merge {
  readonly left: number
  readonly right: number
  /** The tokens there when the merge was proposed. */
  readonly first: number
  readonly second: number
  readonly token: number
  readonly score: number
}
