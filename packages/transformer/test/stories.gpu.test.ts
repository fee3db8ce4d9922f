import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { softwareGpu } from '@qkv/testing/software-gpu'
import { Decoder, generateText, readLlama2cCheckpoint, readLlama2cTokenizer } from '@qkv/transformer'
import { createWebGpuBackend } from '@qkv/webgpu'
import { describe, expect, test } from 'vitest'

// Stated in the README beside the model.
const continuation = ', there was a little girl named Lily. She loved to play outside in the park.'

const folder = sharedFolder('models/stories260k')

describe.skipIf(folder === undefined)('on the GPU, stories260K', () => {
  test('tells the story that its README states', { timeout: 300_000 }, async () => {
    const read = (name: string): Uint8Array => readFileSync(join(folder ?? '', name))
    using backend = await createWebGpuBackend({ gpu: softwareGpu() })
    using model = new Decoder(readLlama2cCheckpoint(read('stories260K.bin')), { backend })
    const tokenizer = readLlama2cTokenizer(read('tok512.bin'))
    let text = ''
    for await (const step of generateText(model, tokenizer, 'Once upon a time', { steps: 20 })) text += step.text
    expect(text.length).toBeGreaterThan(40)
    expect(continuation.slice(0, text.length)).toBe(text)
  })
})
