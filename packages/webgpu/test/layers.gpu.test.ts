import { layerSuite } from '@qkv/testing/suites/layer-suite'
import { test } from 'vitest'
import { testBackend } from './support/backend.ts'
import { census, expectProven } from './support/census.ts'

let counts: ReadonlyMap<string, number> = new Map()

/** As on a GPU, where many rows are multiplied in tiles. */
layerSuite({
  makeBackend: async () => {
    const backend = await testBackend({ software: false })
    counts = census(backend.device)
    return backend
  },
  platform: 'wgsl',
  share: 0.08,
  kinds: 8,
})

test('every kernel of layers was given its problems', () => {
  expectProven(counts, ['linear', 'linear-rows', 'normalise', 'rotate', 'elementwise', 'gather', 'quantize', 'copy', 'merge'])
})
