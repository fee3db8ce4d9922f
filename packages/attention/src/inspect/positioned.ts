import {
  broadcastTo,
  composeScores,
  isHostTensor,
  problem,
  tensor,
  toFloat64,
  type AttentionProblem,
  type HostTensor,
  type ProblemOptions,
  type RotaryTable,
  type Tensor,
} from '@qkv/core'
import { checkPositions, placesOf, type PositionOptions } from '../positions.ts'
import { invalid } from '../refuse.ts'

/** A problem over host tensors with its positions in it, as `prepare` makes them on a backend. */
export function positionedOnHost(
  operation: string,
  plain: AttentionProblem,
  options: ProblemOptions & PositionOptions,
): AttentionProblem {
  const { position } = options
  checkPositions(operation, position, options.positions)
  const query = onHost(operation, 'query', plain.query)
  const key = onHost(operation, 'key', plain.key)
  const again = (q: HostTensor, k: HostTensor, score = options.score): AttentionProblem =>
    problem(q, k, k, { ...options, score, scale: plain.scale, dropout: undefined })
  switch (position?.kind) {
    case undefined:
      return plain
    case 'rotary': {
      const lengths = plain.lengths && onHost(operation, 'lengths', plain.lengths)
      const { query: queries, key: keys, contextLength } = placesOf(plain, options.positions, lengths)
      return again(
        rotated(operation, query, position.table(queries, 'query', contextLength)),
        rotated(operation, key, position.table(keys, 'key', contextLength)),
      )
    }
    case 'score': {
      const terms =
        position.follows === 'content' ? position.terms({ query, key, scale: plain.scale }) : { ...position, query, key }
      const mods = [terms.scoreMod, options.score].filter((mod) => mod !== undefined)
      return again(terms.query, terms.key, mods.length === 0 ? undefined : composeScores(...mods))
    }
    case 'embedding':
      throw invalid(operation, 'position', 'rotary or a score encoding', 'an embedding')
  }
}

/** (u, w) → (u·cos − w·sin, w·cos + u·sin) for each pair of elements that the table turns. */
function rotated(operation: string, input: HostTensor, { cos, sin, layout, dim }: RotaryTable): HostTensor {
  const [batch = 0, heads = 0, length = 0, headDim = 0] = input.shape
  const pairs = dim / 2
  const table = (view: Tensor): Float64Array =>
    toFloat64(broadcastTo(onHost(operation, 'position', view), [batch, heads, length, pairs]))
  const cosines = table(cos)
  const sines = table(sin)
  const vectors = toFloat64(input)
  for (let row = 0; row < batch * heads * length; row++) {
    for (let pair = 0; pair < pairs; pair++) {
      const first = row * headDim + (layout === 'half' ? pair : 2 * pair)
      const second = first + (layout === 'half' ? pairs : 1)
      const u = vectors[first]!
      const w = vectors[second]!
      const c = cosines[row * pairs + pair]!
      const s = sines[row * pairs + pair]!
      vectors[first] = u * c - w * s
      vectors[second] = w * c + u * s
    }
  }
  return tensor(Float32Array.from(vectors), input.shape)
}

function onHost(operation: string, argument: string, view: Tensor): HostTensor {
  if (isHostTensor(view)) return view
  throw invalid(operation, argument, 'in host memory, or given with its backend', 'a tensor that a backend owns')
}
