import { describe, expect, it } from 'vitest'
import { qkvCpu, qkvPortable } from '../src/peers/qkv.ts'
import { transformersWasm } from '../src/peers/transformers-js.ts'
import { bench, itWrites } from './support/writing.ts'

describe('a model that writes', () => {
  for (const peer of [qkvCpu, qkvPortable, transformersWasm]) itWrites(peer)

  it('is left out, with the reason, where there is none', async () => {
    const loaded = await qkvCpu.load({ threads: 1 })
    await expect(loaded.prepare(bench)).rejects.toThrow('--model FOLDER')
  })
})
