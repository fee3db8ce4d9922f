import { cost } from '@qkv/core'
import { cacheBytes, type CacheDtype } from '@qkv/attention'
import { expect, it } from 'vitest'

const layers = 32
const llama2 = { heads: 32, headDim: 128 }
const llama3 = { heads: 8, headDim: 128 }
const GiB = 2 ** 30
const MiB = 2 ** 20

/** By hand: 32 layers · 2 (keys and values) · heads · 128 · bytes an element, a token. */
it.each([
  // 32 · 2 · 32 · 128 · 2 = 524,288 bytes a token, times 4,096 and 131,072.
  ['Llama 2 7B', llama2, 'float16', 4096, 2 * GiB],
  ['Llama 2 7B', llama2, 'float16', 131_072, 64 * GiB],
  // A quarter of the heads: 131,072 bytes a token.
  ['Llama 2 7B', llama2, 'int8', 131_072, 36 * GiB],
  ['Llama 2 7B', llama2, 'int4', 131_072, 20 * GiB],
  ['Llama 3 8B', llama3, 'float16', 4096, 512 * MiB],
  ['Llama 3 8B', llama3, 'float16', 131_072, 16 * GiB],
  ['Llama 3 8B', llama3, 'float32', 4096, 1 * GiB],
  // int8 with a float32 scale every 32 elements: (128 + 4 · 4) / (128 · 2) = 0.5625 of float16.
  ['Llama 3 8B', llama3, 'int8', 131_072, 9 * GiB],
  // int4: (64 + 4 · 4) / 256 = 0.3125.
  ['Llama 3 8B', llama3, 'int4', 131_072, 5 * GiB],
] as const)('%s, %o as %s: %i tokens take %i bytes', (_, shape, dtype: CacheDtype, tokens, bytes) => {
  expect(layers * cacheBytes({ ...shape, dtype }, tokens)).toBe(bytes)
})

it('agrees with the cost model', () => {
  const shape = { queryHeads: 32, keyHeads: 8, queryLength: 1, keyLength: 4096, headDim: 128, dtype: 'float16' } as const
  expect(cacheBytes({ ...llama3, dtype: 'float16' }, 4096)).toBe(cost(shape).cacheBytes)
})

it('refuses shapes that a cache would refuse', () => {
  expect(() => cacheBytes({ heads: 0, headDim: 4 }, 1)).toThrow('cacheBytes: heads must be a whole number ≥ 1; received 0')
  expect(() => cacheBytes({ heads: 1, headDim: 4, dtype: 'int2' as never }, 1)).toThrow(
    'dtype must be one of float32, float16, bfloat16, int8, int4',
  )
  expect(() => cacheBytes({ heads: 1, headDim: 5, dtype: 'int4' }, 1)).toThrow(
    'groupSize must be a divisor of head size 5 and value size 5, even for int4',
  )
})
