import { tensor, type Backend } from '@qkv/core'
import type { LinearCase } from '../../cases/case.ts'
import { linearVectors } from '../../cases/vectors.ts'
import type { Contestant } from '../peer.ts'

export function projects(backend: Backend, bench: LinearCase): Contestant {
  const { rows, inputs, outputs } = bench
  const vectors = linearVectors(bench)
  const input = backend.upload(tensor(vectors.input, [rows, inputs]))
  const weight = backend.upload(tensor(vectors.weight, [outputs, inputs]))
  let output = new Float32Array()
  return {
    how: 'linear',
    async run() {
      const result = backend.linear(input, weight)
      output = (await backend.read(result)) as Float32Array<ArrayBuffer>
      result.dispose()
    },
    result: async () => output.slice(),
    dispose() {
      input.dispose()
      weight.dispose()
    },
  }
}
