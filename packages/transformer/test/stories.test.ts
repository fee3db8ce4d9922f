import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCpuBackend } from '@qkv/cpu'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { Decoder, generateText, readLlama2cCheckpoint, readLlama2cTokenizer } from '@qkv/transformer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const folder = sharedFolder('models/stories260k')
const continuation =
  ', there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball.'

describe.skipIf(folder === undefined)('stories260K', async () => {
  const backend = await createCpuBackend()
  const model = new Decoder(readLlama2cCheckpoint(readFileSync(join(folder ?? '', 'stories260K.bin'))), { backend })
  const tokenizer = readLlama2cTokenizer(readFileSync(join(folder ?? '', 'tok512.bin')))
  test.each([true, false])('tells its story, cache %s', async (cache) => {
    let text = ''
    const t = performance.now()
    let n = 0
    for await (const step of generateText(model, tokenizer, 'Once upon a time', { steps: 60, cache, maps: true })) { text += step.text; n++; if (n<3) console.log(step.maps?.length, step.maps?.[0]?.length, step.maps?.[0]?.[0]?.length, step.maps?.[0]?.[0]?.[0]?.length) }
    console.log(text, n / (performance.now() - t) * 1000, backend.memory())
    expect(text.startsWith(continuation)).toBe(true)
  })
})
