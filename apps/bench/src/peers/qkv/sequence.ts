import { mergeHeads, problem, splitHeads, tensor, type Backend } from '@qkv/core'
import type { SequenceCase } from '../../cases/case.ts'
import { sequenceVectors } from '../../cases/vectors.ts'
import type { Contestant } from '../peer.ts'

/** A causal self-attention layer: three projections, attention over all tokens at once, and the output's projection. */
export function readsSequence(backend: Backend, { length, width, heads, ...bench }: SequenceCase): Contestant {
  const vectors = sequenceVectors({ length, width, heads, ...bench })
  const input = backend.upload(tensor(vectors.input, [1, length, width]))
  const [query, key, value, out] = vectors.projections.map((weight) => backend.upload(tensor(weight, [width, width])))
  let output = new Float32Array()
  return {
    how: 'attention layer',
    layer: 'attention',
    async run() {
      using q = backend.linear(input, query!)
      using k = backend.linear(input, key!)
      using v = backend.linear(input, value!)
      const attended = backend.attention(
        problem(splitHeads(q, heads), splitHeads(k, heads), splitHeads(v, heads), { causal: true }),
      )
      using merged = attended.output
      using result = backend.linear(mergeHeads(merged), out!)
      output = (await backend.read(result)) as Float32Array<ArrayBuffer>
    },
    result: async () => output.slice(),
    dispose: () => [input, query!, key!, value!, out!].forEach((copy) => copy.dispose()),
  }
}
