import { createCpuBackend } from '@qkv/cpu'
import { Decoder, generate, type DecoderCheckpoint } from '@qkv/transformer'
import { describe, expect, test } from 'vitest'
import { plainDecoder } from './support/plain-decoder.ts'
import { gptLike, llamaLike } from './support/random-checkpoint.ts'

const backend = await createCpuBackend()
const tokens = [1, 4, 10, 0, 4, 4, 7, 2, 9]

/** Two layers of float32 keep this much of the largest value: a few dozen roundings of 2⁻²⁴ each, with room. */
const precision = 2 ** -17

function expectClose(actual: ArrayLike<number>, exact: ArrayLike<number>): void {
  expect(actual.length).toBe(exact.length)
  const size = Math.max(...Array.from(exact, Math.abs))
  const worst = Math.max(...Array.from(exact, (value, index) => Math.abs(value - (actual[index] ?? NaN))))
  expect(worst / size).toBeLessThan(precision)
}

async function logitsOf(
  model: Decoder,
  options: Parameters<Decoder['forward']>[1],
  of: readonly number[] = tokens,
): Promise<number[]> {
  const { logits } = await model.forward(of, { logits: 'all', ...options })
  const read = [...(await backend.read(logits))]
  logits.dispose()
  return read
}

describe.each<[string, (seed: number) => DecoderCheckpoint]>([
  ['RMSNorm, SwiGLU, rotary', llamaLike],
  ['LayerNorm, GELU, learned positions', gptLike],
])('a decoder of %s', (_, make) => {
  test.each([1, 2, 3])('computes what a textbook computes in float64, weights %i', async (seed) => {
    const checkpoint = make(seed)
    using model = new Decoder(checkpoint, { backend })
    const plain = plainDecoder(checkpoint, tokens)
    expectClose(
      await logitsOf(model, {}),
      plain.logits.flatMap((row) => [...row]),
    )
  })

  test('looks where a textbook looks, in every head of every layer', async () => {
    const checkpoint = make(4)
    using model = new Decoder(checkpoint, { backend })
    const plain = plainDecoder(checkpoint, tokens).maps
    const { maps, logits } = await model.forward(tokens, { mapsFrom: 0 })
    logits.dispose()
    expect(maps?.map((heads) => heads.length)).toEqual(plain.map((heads) => heads.length))
    plain.forEach((heads, layer) =>
      heads.forEach((rows, head) =>
        rows.forEach((row, query) => {
          const actual = maps![layer]![head]![query]!
          expectClose(actual.slice(0, query + 1), row)
          expect(actual.slice(query + 1).every((weight) => weight === 0)).toBe(true)
        }),
      ),
    )
  })

  test('computes with a cache what it computes at once, however the tokens are cut', async () => {
    using model = new Decoder(make(5), { backend })
    const whole = await logitsOf(model, {})
    for (const cut of [[9], [1, 1, 1, 1, 1, 1, 1, 1, 1], [4, 1, 3, 1]]) {
      using cache = model.createCache()
      const parts: number[] = []
      let start = 0
      for (const count of cut) {
        parts.push(...(await logitsOf(model, { cache }, tokens.slice(start, start + count))))
        start += count
      }
      expectClose(parts, whole)
      expect(cache.length).toBe(tokens.length)
    }
  })

  test('captures the same maps with and without a cache, each row once', async () => {
    using model = new Decoder(make(6), { backend })
    const rowsOf = async (cache: boolean): Promise<number[][]> => {
      const rows: number[][] = []
      for await (const { maps } of generate(model, [1, 2, 3], { steps: 5, cache, maps: true }))
        rows.push(...maps![1]![2]!.map((row) => [...row]))
      return rows
    }
    const [cached, uncached] = [await rowsOf(true), await rowsOf(false)]
    expect(cached.map((row) => row.length)).toEqual([3, 3, 3, 4, 5, 6, 7])
    cached.forEach((row, index) => expectClose(row, uncached[index]!))
  })
})

describe('what a decoder cannot do it refuses, and its cache stays as it was', () => {
  const model = new Decoder(llamaLike(7), { backend })

  test.each([
    [[], 'OPTION_INVALID', 'tokens'],
    [[1, 11], 'OPTION_INVALID', 'tokens[1]'],
    [[1, 0.5], 'OPTION_INVALID', 'tokens[1]'],
    [[-1], 'OPTION_INVALID', 'tokens[0]'],
    [[1, 2, 3, 4, 5, 6, 7], 'LIMIT_EXCEEDED', 'tokens'],
  ])('tokens %j after three: %s', async (more, code, argument) => {
    using cache = model.createCache()
    ;(await model.forward([1, 2, 3], { cache })).logits.dispose()
    await expect(model.forward(more, { cache })).rejects.toMatchObject({ code, argument })
    expect(cache.length).toBe(3)
    ;(await model.forward([4], { cache })).logits.dispose()
    expect(cache.length).toBe(4)
  })

  test('rows of maps that there are not, found when layers have taken in the tokens already', async () => {
    using cache = model.createCache()
    ;(await model.forward([1, 2, 3], { cache })).logits.dispose()
    const before = backend.memory().used
    await expect(model.forward([4, 5], { cache, mapsFrom: -1 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    expect(cache.length).toBe(3)
    expect(cache.layers.map((layer) => layer.length)).toEqual([3, 3])
    expect(backend.memory().used).toBe(before)
  })

  test('a text ends where the context does', async () => {
    const written = []
    for await (const { position } of generate(model, [1, 2, 3])) written.push(position)
    expect(written).toEqual([3, 4, 5, 6, 7, 8])
  })

  test('an abort ends a text', async () => {
    const controller = new AbortController()
    const run = async (): Promise<void> => {
      for await (const _ of generate(model, [1], { signal: controller.signal })) controller.abort()
    }
    await expect(run()).rejects.toMatchObject({ code: 'ABORTED', received: 'an abort after 1 tokens' })
  })

  test.each([-1, 0.5, NaN])('%s steps', async (steps) => {
    await expect(generate(model, [1], { steps }).next()).rejects.toMatchObject({ code: 'OPTION_INVALID', argument: 'steps' })
  })

  test('a weight of the wrong shape, and nothing stays behind', () => {
    const checkpoint = llamaLike(8)
    const before = backend.memory().used
    const [first, second] = checkpoint.blocks
    const broken = { ...second!, attention: { ...second!.attention, 'query.weight': checkpoint.embedding } }
    expect(() => new Decoder({ ...checkpoint, blocks: [first!, broken] }, { backend })).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH', argument: "weights['query.weight']" }),
    )
    expect(backend.memory().used).toBe(before)
  })

  test('anything, once disposed', async () => {
    const before = backend.memory().used
    const gone = new Decoder(llamaLike(9), { backend })
    gone.dispose()
    gone.dispose()
    await expect(gone.forward([1])).rejects.toMatchObject({ code: 'DISPOSED' })
    expect(backend.memory().used).toBe(before)
  })
})
