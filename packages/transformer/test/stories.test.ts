import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCpuBackend, type CpuBackend } from '@qkv/cpu'
import { sharedFolder } from '@qkv/testing/shared-folder'
import {
  Decoder,
  generateText,
  greedy,
  measureHeads,
  readLlama2cCheckpoint,
  readLlama2cTokenizer,
  sampler,
  type Tokenizer,
} from '@qkv/transformer'
import { beforeAll, describe, expect, test } from 'vitest'

const folder = sharedFolder('models/stories260k')

describe.skipIf(folder === undefined)('stories260K', { timeout: 60_000 }, () => {
  let backend: CpuBackend
  let model: Decoder
  let tokenizer: Tokenizer
  beforeAll(async () => {
    const read = (name: string): Uint8Array => readFileSync(join(folder ?? '', name))
    backend = await createCpuBackend()
    model = new Decoder(readLlama2cCheckpoint(read('stories260K.bin')), { backend })
    tokenizer = readLlama2cTokenizer(read('tok512.bin'))
  })
  const story = async (options: Parameters<typeof generateText>[3]): Promise<string> => {
    let text = ''
    for await (const step of generateText(model, tokenizer, 'Once upon a time', options)) text += step.text
    return text
  }

  // Stated in the README beside the model.
  const continuation =
    ', there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball.'

  test('tells the story that its README states', async () => {
    expect((await story({ steps: 60 })).slice(0, continuation.length)).toBe(continuation)
  })

  test('tells the same story without a cache', async () => {
    const [cached, uncached] = [await story({ steps: 60 }), await story({ steps: 60, cache: false })]
    expect(uncached).toBe(cached)
  })

  test('draws the same story from the same seed, with and without a cache', async () => {
    const drawn = (seed: number, cache: boolean): Promise<string> =>
      story({ steps: 40, cache, sample: sampler({ temperature: 0.9, topP: 0.9, seed }) })
    const [first, again, uncached, other] = [
      await drawn(3, true),
      await drawn(3, true),
      await drawn(3, false),
      await drawn(4, true),
    ]
    expect(again).toBe(first)
    expect(uncached).toBe(first)
    expect(other).not.toBe(first)
  })

  test.each([0, 1, 2])(
    'has two previous-token heads, layer 3 head 6 and layer 1 head 3, on the random texts of seed %i',
    async (seed) => {
      const measures = await measureHeads(model, tokenizer, seed)
      const named = measures.flatMap((heads, layer) =>
        heads.flatMap(({ role, previousToken }, head) => (role === 'previousToken' ? [{ layer, head, previousToken }] : [])),
      )
      named.sort((a, b) => b.previousToken - a.previousToken)
      expect(named.map(({ layer, head }) => [layer, head])).toEqual([
        [3, 6],
        [1, 3],
      ])
      // The README's means, 0.72 and 0.58, are of other random tokens.
      expect(Math.abs(named[0]!.previousToken - 0.72)).toBeLessThan(0.07)
      expect(Math.abs(named[1]!.previousToken - 0.58)).toBeLessThan(0.07)
    },
  )

  test('leaves no memory behind, whether a text ends or is left', async () => {
    const before = backend.memory()
    await story({ steps: 5, maps: true })
    for await (const _ of generateText(model, tokenizer, 'Once')) break
    await expect(story({ sample: () => NaN })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    expect(backend.memory()).toMatchObject({ used: before.used, tensors: before.tensors })
  })

  test('greedy is what sampling does at temperature 0', async () => {
    expect(await story({ steps: 20, sample: sampler({ temperature: 0 }) })).toBe(await story({ steps: 20, sample: greedy }))
  })
})
