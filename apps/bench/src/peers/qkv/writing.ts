import type { Backend } from '@qkv/core'
import { Decoder, generate, readLlama2cCheckpoint, readLlama2cTokenizer } from '@qkv/transformer'
import type { WritingCase } from '../../cases/case.ts'
import { requireModel, type Contestant, type ModelFiles } from '../peer.ts'

/** A model whose weights live on the backend writes token by token, keeping keys and values. */
export function writes(backend: Backend, { prompt, tokens }: WritingCase, files: ModelFiles | undefined): Contestant {
  const { checkpoint, tokenizer } = requireModel(files)
  const model = new Decoder(readLlama2cCheckpoint(checkpoint), { backend })
  const begun = readLlama2cTokenizer(tokenizer).encode(prompt)
  let written: number[] = []
  return {
    how: 'generate, with a cache',
    async run() {
      written = []
      for await (const { token } of generate(model, begun, { steps: tokens })) written.push(token)
    },
    result: async () => Float32Array.from(written),
    dispose: () => model.dispose(),
  }
}
