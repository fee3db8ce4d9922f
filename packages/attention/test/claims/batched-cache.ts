import { slice, tensor, toFloat32, type Backend, type HostTensor } from '@qkv/core'
import { cachedAttention, KeyValueCache, MultiHeadAttention, type CacheOptions, type DecodingCache } from '@qkv/attention'
import { BatchedCache } from '@qkv/attention/batches'
import { PagedBatch, PagedCache, PagePool } from '@qkv/attention/paged'
import { alibi, rotary, type RotaryEncoding, type ScoreEncoding } from '@qkv/positional'
import { describe, expect, it } from 'vitest'
import type { LayerOptions } from './arrangements.ts'
import { expectEstimated, someRows } from './estimates.ts'
import { naiveLayer } from './naive-layer.ts'
import { expectReference, normal, outputOf, valuesOf, type Subject } from './subject.ts'

/** Three sequences of different lengths, to be decoded together. */
const kinds: Record<
  string,
  (options: CacheOptions & { readonly backend: Backend }) => Disposable & { readonly cache: DecodingCache }
> = {
  'a batched cache': (options) => {
    const cache = new BatchedCache({ ...options, batch: 3 })
    return { cache, [Symbol.dispose]: () => cache.dispose() }
  },
  'sequences in pages': (options) => {
    const pool = new PagePool({ ...options, pages: 16, pageSize: 4 })
    const sequences = [0, 1, 2].map(() => new PagedCache({ pool }))
    const dispose = (): void => [...sequences, pool].forEach((made) => made.dispose())
    return { cache: new PagedBatch(sequences), [Symbol.dispose]: dispose }
  },
}

/** What holds, on any backend, for sequences of different lengths in one cache. */
export function batchedCacheClaims(subject: () => Subject): void {
  const shape = { heads: 2, headDim: 16, valueDim: 8 }
  const prompts = [5, 9, 2]
  const steps = 3
  const texts = prompts.map((length, entry) => ({
    q: normal(`batched q ${entry}`, [1, 4, length + steps, 16]),
    k: normal(`batched k ${entry}`, [1, 2, length + steps, 16]),
    v: normal(`batched v ${entry}`, [1, 2, length + steps, 8]),
  }))
  const rows = (view: HostTensor, start: number, end: number): HostTensor => slice(view, 2, start, end)
  /** The next rows of each text, side by side at their ends. */
  const batch = (part: 'q' | 'k' | 'v', at: readonly number[], counts: readonly number[]): HostTensor =>
    padded(texts.map((text, entry) => rows(text[part], at[entry]!, at[entry]! + counts[entry]!)))

  describe.each(Object.entries(kinds))('%s', (_, make) => {
    it.each(['float32', 'float16', 'int4'] as const)('as %s: each entry comes out as it does alone', async (dtype) => {
      const { backend } = subject()
      using made = make({ ...shape, backend, dtype })
      const { cache } = made
      const alone = texts.map(() => new KeyValueCache({ ...shape, backend, dtype }))
      const position = alibi({ heads: 4 })
      let at = prompts.map(() => 0)
      for (const counts of [prompts, [1, 1, 1], [1, 1, 1], [1, 0, 1]]) {
        await cache.append(batch('k', at, counts), batch('v', at, counts), counts)
        const together = await outputOf(subject(), cachedAttention(batch('q', at, counts), cache, { position }))
        const longest = Math.max(...counts)
        for (const [entry, { q, k, v }] of texts.entries()) {
          const [start, end] = [at[entry]!, at[entry]! + counts[entry]!]
          if (start === end) continue
          await alone[entry]!.append(rows(k, start, end), rows(v, start, end))
          const { key, value, ...scales } = (await alone[entry]!.save()).stored
          const own = Array.from({ length: 4 }, (_, head) => {
            const last = (entry * 4 + head + 1) * longest * 8
            return [...together.subarray(last - counts[entry]! * 8, last)]
          })
          const options = { ...scales, causal: true, score: position.scoreMod }
          expectReference(subject(), own.flat(), rows(q, start, end), key, value, options)
        }
        at = at.map((start, entry) => start + counts[entry]!)
      }
      expect(cache.lengths).toEqual([8, 11, 5])
      expect(cache.length).toBe(11)
      for (const one of alone) one.dispose()
    })

    it.each([
      ['rotary', [rotary({ dim: 8 })]],
      ['rotary and slopes', [rotary({ dim: 8 }), alibi({ heads: 4 })]],
    ] as readonly (readonly [string, readonly (RotaryEncoding | ScoreEncoding)[]])[])(
      'a layer with %s decodes them together as it does each alone',
      async (_, position) => {
        const { backend } = subject()
        const options: LayerOptions = { modelDim: 32, heads: 4, kvHeads: 2, causal: true, position }
        using layer = new MultiHeadAttention({ ...options, backend })
        const inputs = prompts.map((length, entry) => normal(`batched input ${entry}`, [1, 1, length + steps, 32]))
        using made = make({ backend, heads: 2, headDim: 8 })
        const { cache } = made
        const state = await layer.state()
        const exact = inputs.map((input) => {
          const alone = { ...input, shape: input.shape.slice(1), strides: input.strides.slice(1) }
          return naiveLayer(alone, alone, layer.config, options, state, subject().platform)
        })
        let at = prompts.map(() => 0)
        for (const counts of [prompts, [1, 1, 1], [1, 1, 1], [1, 1, 1]]) {
          const next = padded(inputs.map((input, entry) => rows(input, at[entry]!, at[entry]! + counts[entry]!)))
          const input = { ...next, shape: [3, ...next.shape.slice(2)], strides: [next.strides[0]!, ...next.strides.slice(2)] }
          using output = await layer.forward(input, { cache, counts })
          const values = await valuesOf(subject(), output)
          const longest = Math.max(...counts)
          exact.forEach((whole, entry) => {
            const [start, count] = [at[entry]!, counts[entry]!]
            const own = values.subarray((entry * longest + longest - count) * 32, (entry + 1) * longest * 32)
            const wanted = someRows(whole, 32, (row) => row >= start && row < start + count)
            expectEstimated(subject(), own, wanted, 32)
          })
          at = at.map((start, entry) => start + counts[entry]!)
        }
      },
    )
  })

  it('sequences of equal lengths are what a plain cache has', async () => {
    const { backend } = subject()
    using cache = new BatchedCache({ ...shape, backend, batch: 3 })
    using plain = new KeyValueCache({ ...shape, backend, batch: 3 })
    const counts = [2, 2, 2]
    for (const at of [[0, 0, 0], counts]) {
      for (const each of [cache, plain]) await each.append(batch('k', at, counts), batch('v', at, counts))
    }
    const [one, other] = await Promise.all(
      [cache, plain].map((each) => outputOf(subject(), cachedAttention(batch('q', counts, counts), each))),
    )
    expect(one).toEqual(other)
  })

  it('an entry starts anew while the others go on; forks and saved ones go their own way', async () => {
    const { backend } = subject()
    using cache = new BatchedCache({ ...shape, backend, batch: 3, capacity: 12 })
    await cache.append(batch('k', [0, 0, 0], prompts), batch('v', [0, 0, 0], prompts), prompts)
    cache.truncate([5, 0, 2])
    using fork = cache.fork()
    const state = structuredClone(await cache.save())
    using restored = new BatchedCache({ ...shape, backend, batch: 3 })
    restored.restore(state)
    const [at, counts] = [
      [5, 0, 2],
      [1, 2, 1],
    ]
    const outputs: Float64Array[] = []
    for (const each of [cache, fork, restored]) {
      await each.append(batch('k', at!, counts!), batch('v', at!, counts!), counts)
      outputs.push(await outputOf(subject(), cachedAttention(batch('q', at!, counts!), each)))
      expect(each.lengths).toEqual([6, 2, 3])
    }
    expect(outputs[1]).toEqual(outputs[0])
    expect(outputs[2]).toEqual(outputs[0])
    const second = outputs[0]!.subarray(4 * 2 * 8, 2 * 4 * 2 * 8)
    const [q, k, v] = [texts[1]!.q, texts[1]!.k, texts[1]!.v].map((part) => rows(part, 0, 2)) as [
      HostTensor,
      HostTensor,
      HostTensor,
    ]
    expectReference(subject(), second, q, k, v, { causal: true })
  })

  it('sequences in pages share what they share, and stay as they were when pages run out', async () => {
    const { backend } = subject()
    using pool = new PagePool({ ...shape, backend, pages: 4, pageSize: 4 })
    using first = new PagedCache({ pool })
    const { q, k, v } = texts[1]!
    await first.append(rows(k, 0, 6), rows(v, 0, 6))
    using second = first.fork()
    const both = new PagedBatch([first, second])
    const twice = (view: HostTensor, start: number, end: number): HostTensor =>
      padded([rows(view, start, end), rows(view, start, end)])
    await both.append(twice(k, 6, 7), twice(v, 6, 7))
    expect([pool.freePages, ...both.lengths]).toEqual([1, 7, 7])
    const output = await outputOf(subject(), cachedAttention(twice(q, 6, 7), both))
    expect(output.subarray(output.length / 2)).toEqual(output.subarray(0, output.length / 2))
    await expect(both.append(twice(k, 7, 9), twice(v, 7, 9))).rejects.toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
    expect([pool.freePages, ...both.lengths]).toEqual([1, 7, 7])
    second.dispose()
    expect(() => both.keys()).toThrow(expect.objectContaining({ code: 'DISPOSED' }))
    expect(() => new PagedBatch([first, first])).toThrow('PagedBatch: sequences must be different ones of one pool')
  })

  it('refuses what does not fit, and stays as it was', async () => {
    const { backend } = subject()
    using cache = new BatchedCache({ ...shape, backend, batch: 3, capacity: 9 })
    const [key, value] = [batch('k', [0, 0, 0], prompts), batch('v', [0, 0, 0], prompts)]
    await expect(cache.append(key, value, [5, 10, 2])).rejects.toThrow(
      'append: counts must be 3 whole numbers, at most 9, 9, 9; received [5,10,2]',
    )
    await cache.append(key, value, prompts)
    await expect(cache.append(key, value, [1, 1, 1])).rejects.toThrow('tokens must be at most 9, its capacity; received 10')
    expect(() => cache.truncate([5, 9, 3])).toThrow('truncate: length must be 3 whole numbers, at most 5, 9, 2; received [5,9,3]')
    expect(() => cache.truncate(10)).toThrow('truncate: length must be whole, from 0 to 9; received 10')
    expect(cache.lengths).toEqual(prompts)
    using growing = new MultiHeadAttention({
      backend,
      modelDim: 64,
      heads: 4,
      kvHeads: 2,
      position: rotary({ dim: 16, type: 'dynamic', factor: 2, max_position_embeddings: 4 }),
    })
    using floats = new BatchedCache({ backend, batch: 3, heads: 2, headDim: 16 })
    await expect(growing.forward(normal('one', [3, 1, 64]), { cache: floats })).rejects.toThrow('does not follow the length')
    using layer = new MultiHeadAttention({ backend, modelDim: 32, heads: 4 })
    using plain = new KeyValueCache({ backend, heads: 4, headDim: 8 })
    await expect(layer.forward(normal('one', [1, 1, 32]), { cache: plain, counts: [1] })).rejects.toThrow(
      'counts must be absent without a BatchedCache or PagedBatch',
    )
  })
}

/** Tensors [1, heads, length, dim] as one, shorter ones with padding that would show before them. */
function padded(parts: readonly HostTensor[]): HostTensor {
  const longest = Math.max(...parts.map(({ shape }) => shape[2] ?? 0))
  const [, heads = 0, , dim = 0] = parts[0]!.shape
  const values = parts.flatMap((part) => {
    const own = toFloat32(part)
    const size = (part.shape[2] ?? 0) * dim
    return Array.from({ length: heads }, (_, head) => [
      ...new Array<number>(longest * dim - size).fill(NaN),
      ...own.subarray(head * size, (head + 1) * size),
    ]).flat()
  })
  return tensor(Float32Array.from(values), [parts.length, heads, longest, dim])
}
