import { readFileSync } from 'node:fs'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { readLlama2cCheckpoint } from '@qkv/transformer'
import { describe, expect, test } from 'vitest'
import { checkpointFile, tinySizes } from './support/checkpoint-file.ts'

const path = sharedFolder('models/stories260k/stories260K.bin')

describe('a llama2.c checkpoint', () => {
  test('its tensors lie where llama2.c writes them', () => {
    const { sizes, embedding, blocks, norm, head } = readLlama2cCheckpoint(checkpointFile(tinySizes))
    expect(sizes).toEqual({ vocabularySize: 5, contextLength: 6, modelDim: 8, heads: 2, kvHeads: 1, headDim: 4 })
    expect(blocks).toHaveLength(2)
    // The file counts its floats, so a tensor's first element is how many floats lie before it.
    const first = blocks[0]!
    const second = blocks[1]!
    expect(embedding.storage[0]).toBe(0)
    expect(first.attentionNorm.weight.storage[0]).toBe(5 * 8)
    expect(second.attentionNorm.weight.storage[0]).toBe(5 * 8 + 8)
    const afterNorms = 5 * 8 + 2 * 8
    expect(first.attention['query.weight']!.storage[0]).toBe(afterNorms)
    expect(second.attention['query.weight']!.storage[0]).toBe(afterNorms + 64)
    expect(first.attention['key.weight']!.shape).toEqual([4, 8])
    expect(first.attention['value.weight']!.storage[0]).toBe(afterNorms + 2 * 64 + 2 * 32)
    expect(norm.weight.shape).toEqual([8])
    expect(head.weight).toBe(embedding)
  })

  test('a negative vocabulary size means a head of its own', () => {
    const { embedding, head } = readLlama2cCheckpoint(checkpointFile(tinySizes, { separateHead: true }))
    expect(head.weight).not.toBe(embedding)
    expect(head.weight.shape).toEqual([5, 8])
  })

  test('is read at any address', () => {
    const file = checkpointFile(tinySizes)
    const shifted = new Uint8Array(file.length + 1)
    shifted.set(file, 1)
    expect(readLlama2cCheckpoint(shifted.subarray(1))).toEqual(readLlama2cCheckpoint(file))
  })
})

describe('a malformed checkpoint is refused, naming what was expected and what came', () => {
  const file = checkpointFile(tinySizes)

  test.each([0, 1, 27, 28, 100, file.length - 4, file.length - 1])('cut to %i bytes', (length) => {
    expect(() => readLlama2cCheckpoint(file.slice(0, length))).toThrow(
      expect.objectContaining({ code: 'FILE_MALFORMED', argument: 'file', received: `${length} bytes` }),
    )
  })

  test('with bytes to spare', () => {
    const longer = new Uint8Array(file.length + 4)
    longer.set(file)
    expect(() => readLlama2cCheckpoint(longer)).toThrow(
      expect.objectContaining({ code: 'FILE_MALFORMED', expected: `${file.length} bytes, by its header` }),
    )
  })

  test.each([
    [0, 'modelDim', 0],
    [0, 'modelDim', 7],
    [1, 'hiddenDim', -1],
    [2, 'layers', 0],
    [3, 'heads', -2],
    [3, 'heads', 3],
    [4, 'key/value heads', 3],
    [4, 'kvHeads', 0],
    [5, 'vocabularySize', 0],
    [6, 'contextLength', -1],
  ])('header field %i, %s, of %i', (field, name, value) => {
    const broken = file.slice()
    new DataView(broken.buffer).setInt32(4 * field, value, true)
    expect(() => readLlama2cCheckpoint(broken)).toThrow(
      expect.objectContaining({ code: 'FILE_MALFORMED', message: expect.stringContaining(name) }),
    )
  })

  test('sizes beyond any file are counted exactly and allocate nothing', () => {
    const huge = file.slice(0, 28)
    const view = new DataView(huge.buffer)
    for (const field of [0, 1, 2, 5, 6]) view.setInt32(4 * field, 2 ** 31 - 8, true)
    view.setInt32(12, 1, true)
    view.setInt32(16, 1, true)
    const d = 2n ** 31n - 8n
    const floats = d * d + d * (2n * d + 4n * d * d + 3n * d * d) + d + d * d
    expect(() => readLlama2cCheckpoint(huge)).toThrow(`${28n + 4n * floats} bytes`)
  })
})

test.skipIf(path === undefined)('stories260K has the sizes its README states', () => {
  const { sizes, blocks, positions } = readLlama2cCheckpoint(readFileSync(path ?? ''))
  expect(sizes).toEqual({ vocabularySize: 512, contextLength: 512, modelDim: 64, heads: 8, kvHeads: 4, headDim: 8 })
  expect(blocks).toHaveLength(5)
  expect(positions).toEqual({ kind: 'rotary', layout: 'interleaved', base: 10_000 })
})
