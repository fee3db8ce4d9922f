import { and, maskMod, problem, reference, scoreMod, slice, type HostTensor, type ProblemOptions } from '@qkv/core'
import {
  attention,
  cacheBytes,
  cachedAttention,
  KeyValueCache,
  SlidingCache,
  type AttentionCache,
  type CacheDtype,
  type CacheState,
} from '@qkv/attention'
import { PagedCache, PagePool } from '@qkv/attention/paged'
import { alibi } from '@qkv/positional'
import { expectWithinBound } from '@qkv/testing'
import { describe, expect, it, vi } from 'vitest'
import { normal, outputOf, type Subject } from './subject.ts'

const length = 37
const chunks = [5, 1, 1, 9, 1, 1, 1, 18]
const q = normal('cached q', [1, 4, length, 16])
const k = normal('cached k', [1, 2, length, 16])
const v = normal('cached v', [1, 2, length, 8])

/** A cache and what attention over the whole text must be restricted by to see what it shows. */
interface Kind {
  readonly make: (subject: Subject, dtype?: CacheDtype) => AttentionCache
  readonly options: ProblemOptions
}

const shape = { heads: 2, headDim: 16, valueDim: 8 }
const inWindow = maskMod(({ query, key }) => query.sub(key).lt(6).or(key.lt(3)))

const kinds: Record<string, Kind> = {
  growing: { make: ({ backend }, dtype) => new KeyValueCache({ ...shape, backend, dtype }), options: {} },
  static: { make: ({ backend }, dtype) => new KeyValueCache({ ...shape, backend, dtype, capacity: length }), options: {} },
  paged: {
    make: ({ backend }, dtype) =>
      new PagedCache({ pool: scattered(new PagePool({ ...shape, backend, dtype, pages: 24, pageSize: 4 })) }),
    options: {},
  },
  sliding: {
    make: ({ backend }, dtype) => new SlidingCache({ ...shape, backend, dtype, window: 6 }),
    options: { window: { left: 5 } },
  },
  'sliding with sinks': {
    make: ({ backend }, dtype) => new SlidingCache({ ...shape, backend, dtype, window: 6, sinks: 3 }),
    options: { mask: inWindow },
  },
}

/** What holds for every cache on any backend. */
export function cacheClaims(subject: () => Subject): void {
  describe.each(Object.entries(kinds))('%s', (_, { make, options }) => {
    it.each(['float32', 'float16', 'bfloat16', 'int8', 'int4'] as const)(
      'as %s: shows each chunk what the whole text shows it',
      async (dtype) => {
        using held = poolOf(make(subject(), dtype))
        const { cache } = held
        await expectPrefill(subject(), cache, options)
        expect(cache.length).toBe(length)
      },
    )

    it('serves score encodings, score changes and masks as the whole text does', async () => {
      using held = poolOf(make(subject()))
      const position = alibi({ heads: 4 })
      if (position.kind !== 'score' || position.follows !== 'positions') throw new Error('alibi follows positions')
      await expectPrefill(subject(), held.cache, { ...options, score: position.scoreMod }, { position })
      using other = poolOf(make(subject()))
      const score = scoreMod((before, { query, key }) => before.add(query.mod(5).mul(key.mod(3)).toFloat().mul(0.2)))
      await expectPrefill(subject(), other.cache, { ...options, score }, { score })
      using third = poolOf(make(subject()))
      const mask = maskMod(({ query, key }) => key.mod(3).ne(1).or(key.eq(query)))
      const both = options.mask === undefined ? mask : and(mask, inWindow)
      await expectPrefill(subject(), third.cache, { ...options, mask: both }, { mask })
    })

    it.each([2, 8])('with a window of %i tokens before: as the whole text has it', async (left) => {
      using held = poolOf(make(subject()))
      const near = maskMod(({ query, key }) => query.sub(key).le(left))
      const mask = options.mask === undefined ? near : and(near, inWindow)
      await expectPrefill(subject(), held.cache, { ...options, mask }, { window: { left } })
    })

    it('goes back to where it was', async () => {
      using held = poolOf(make(subject()))
      const { cache } = held
      await cache.append(part(k, 0, 5), part(v, 0, 5))
      const before = await outputOf(subject(), cachedAttention(part(q, 4, 5), cache))
      await cache.append(normal('strays', [1, 2, 3, 16]), normal('stray values', [1, 2, 3, 8]))
      cache.truncate(5)
      expect(cache.length).toBe(5)
      expect(await outputOf(subject(), cachedAttention(part(q, 4, 5), cache))).toEqual(before)
      expect(() => cache.truncate(6)).toThrow('length must be whole, from 0 to 5; received 6')
    })

    it('forks into two that go their own ways', async () => {
      using held = poolOf(make(subject()))
      const { cache } = held
      await cache.append(part(k, 0, 22), part(v, 0, 22))
      using fork = cache.fork()
      await fork.append(normal('strays', [1, 2, 3, 16]), normal('stray values', [1, 2, 3, 8]))
      await cache.append(part(k, 22, 25), part(v, 22, 25))
      const own = await outputOf(subject(), cachedAttention(part(q, 22, 25), cache))
      const other = await outputOf(subject(), cachedAttention(part(q, 22, 25), fork))
      expectRows(subject(), own, 22, 25, options, 'float32', k, v)
      expect(other).not.toEqual(own)
      cache.truncate(22)
      await cache.append(normal('strays', [1, 2, 3, 16]), normal('stray values', [1, 2, 3, 8]))
      expect(await outputOf(subject(), cachedAttention(part(q, 22, 25), cache))).toEqual(other)
    })

    it.each(['float32', 'int4'] as const)('as %s: goes on after it was saved and restored', async (dtype) => {
      using held = poolOf(make(subject(), dtype))
      await held.cache.append(part(k, 0, 30), part(v, 0, 30))
      const state: CacheState = structuredClone(await held.cache.save())
      using restored = poolOf(make(subject(), dtype))
      restored.cache.restore(state)
      expect(restored.cache.length).toBe(30)
      for (const { cache } of [held, restored]) await cache.append(part(k, 30, 33), part(v, 30, 33))
      const [one, two] = await Promise.all(
        [held, restored].map(({ cache }) => outputOf(subject(), cachedAttention(part(q, 30, 33), cache))),
      )
      expect(two).toEqual(one)
      expect(() => restored.cache.restore({ ...state, kind: 'other' as never })).toThrow('state.kind must be ')
    })

    it('refuses what does not fit, and stays as it was', async () => {
      using held = poolOf(make(subject()))
      const { cache } = held
      await cache.append(part(k, 0, 5), part(v, 0, 5))
      await expect(cache.append(slice(part(k, 5, 6), 3, 0, 8), part(v, 5, 6))).rejects.toThrow(
        'key must be [1,2,…,16]; received [1,2,1,8]',
      )
      await expect(cache.append(part(k, 5, 6), part(v, 5, 7))).rejects.toThrow('value must be [1,2,1,8]')
      expect(cache.length).toBe(5)
      cache.dispose()
      const disposed = expect.objectContaining({ code: 'DISPOSED' })
      expect(() => cache.keys()).toThrow(disposed)
      await expect(cache.append(part(k, 5, 6), part(v, 5, 6))).rejects.toThrow(disposed)
    })
  })

  it('a static cache refuses what is too much, a growing one grows', async () => {
    const { backend } = subject()
    using full = new KeyValueCache({ ...shape, backend, capacity: 4 })
    await expect(full.append(part(k, 0, 5), part(v, 0, 5))).rejects.toThrow(
      'cache: tokens must be at most 4, its capacity; received 5',
    )
    await full.append(part(k, 0, 3), part(v, 0, 3))
    const larger = new KeyValueCache({ ...shape, backend })
    await larger.append(part(k, 0, 5), part(v, 0, 5))
    const state = await larger.save()
    larger.dispose()
    expect(() => full.restore(state)).toThrow('tokens must be at most 4, its capacity; received 5')
    expect(full.length).toBe(3)
    expect(full.byteLength).toBe(cacheBytes(shape, 4))
    using growing = new KeyValueCache({ ...shape, backend, dtype: 'int8' })
    expect(growing.byteLength).toBe(cacheBytes({ ...shape, dtype: 'int8' }, 64))
    for (let token = 0; token < 130; token += 26) await growing.append(part(k, 0, 26), part(v, 0, 26))
    expect(growing.byteLength).toBe(cacheBytes({ ...shape, dtype: 'int8' }, 256))
  })

  it.each(['int8', 'int4'] as const)('taking in tokens as %s reads nothing home', async (dtype) => {
    const { backend } = subject()
    const read = vi.spyOn(backend, 'read')
    using cache = new KeyValueCache({ ...shape, backend, dtype })
    using onDevice = backend.upload(part(k, 0, 5))
    await cache.append(onDevice, part(v, 0, 5))
    expect(read).not.toHaveBeenCalled()
    read.mockRestore()
  })

  it('a sliding cache does not grow with the text', async () => {
    const { backend } = subject()
    using cache = new SlidingCache({ ...shape, backend, window: 8, sinks: 2 })
    const bytes = cache.byteLength
    expect(bytes).toBe(cacheBytes(shape, 18))
    for (let token = 0; token < 100; token++)
      await cache.append(part(k, token % length, (token % length) + 1), part(v, token % length, (token % length) + 1))
    expect([cache.length, cache.byteLength]).toEqual([100, bytes])
    expect(() => cache.truncate(10)).toThrow('truncate: length must be whole, from ')
    const bias = normal('bias of what is held', [cache.keys().key.shape[2]!])
    await expect(cachedAttention(part(q, 0, 1), cache, { bias })).rejects.toThrow('bias must be absent with a cache that slides')
    const state = await cache.save()
    for (const other of [{ window: 8 }, { window: 9, sinks: 2 }]) {
      using restored = new SlidingCache({ ...shape, backend, ...other })
      expect(() => restored.restore(state)).toThrow(/restore: state\.(sinks|window) must be \d; received \d/)
    }
  })

  it('latent keys can hold their values: a cache without any of its own', async () => {
    const { backend } = subject()
    using cache = new KeyValueCache({ backend, heads: 2, headDim: 16, valueDim: 0 })
    await cache.append(k, slice(k, 3, 0, 0))
    const { key } = cache.keys()
    const actual = await outputOf(subject(), attention(part(q, length - 1, length), key, slice(key, 3, 0, 8), { backend }))
    expectRows(subject(), actual, length - 1, length, {}, 'float32', k, slice(k, 3, 0, 8))
  })

  describe('a pool of pages', () => {
    it('shares pages between forks until one writes, and takes them back', async () => {
      const { backend } = subject()
      using pool = new PagePool({ ...shape, backend, pages: 8, pageSize: 4 })
      using cache = new PagedCache({ pool })
      await cache.append(part(k, 0, 10), part(v, 0, 10))
      expect(pool.freePages).toBe(5)
      const fork = cache.fork()
      expect(pool.freePages).toBe(5)
      await fork.append(part(k, 10, 11), part(v, 10, 11))
      expect(pool.freePages).toBe(4)
      await fork.append(part(k, 11, 14), part(v, 11, 14))
      expect(pool.freePages).toBe(3)
      fork.dispose()
      expect(pool.freePages).toBe(5)
      cache.truncate(4)
      expect(pool.freePages).toBe(7)
      expect(cache.byteLength).toBe(cacheBytes(shape, 4))
    })

    it('is read where it lies as long as its pages follow one another, also after others came and went', async () => {
      const { backend } = subject()
      using pool = new PagePool({ ...shape, backend, pages: 12, pageSize: 4 })
      const gather = vi.spyOn(backend, 'gather')
      const others = [new PagedCache({ pool }), new PagedCache({ pool })]
      for (const other of others) await other.append(part(k, 0, 6), part(v, 0, 6))
      for (const other of others) other.dispose()
      using cache = new PagedCache({ pool })
      for (let token = 0; token < 10; token++) await cache.append(part(k, token, token + 1), part(v, token, token + 1))
      const values = await outputOf(subject(), cachedAttention(part(q, 9, 10), cache))
      expectRows(subject(), values, 9, 10, {}, 'float32', k, v)
      expect(gather).not.toHaveBeenCalled()
      gather.mockRestore()
    })

    it('says no when it is full, and nothing has changed', async () => {
      const { backend } = subject()
      using pool = new PagePool({ ...shape, backend, pages: 3, pageSize: 4 })
      using cache = new PagedCache({ pool })
      await cache.append(part(k, 0, 6), part(v, 0, 6))
      using fork = cache.fork()
      await expect(fork.append(part(k, 6, 12), part(v, 6, 12))).rejects.toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
      expect([fork.length, pool.freePages]).toEqual([6, 1])
      await cache.append(part(k, 6, 8), part(v, 6, 8))
      expectRows(subject(), await outputOf(subject(), cachedAttention(part(q, 7, 8), cache)), 7, 8, {}, 'float32', k, v)
    })

    it('starts a sequence with what an earlier one began with, while there is room for that', async () => {
      const { backend } = subject()
      using pool = new PagePool({ ...shape, backend, pages: 10, pageSize: 4 })
      const text = Array.from({ length }, (_, token) => token * 3)
      const first = new PagedCache({ pool, tokens: text })
      expect(first.length).toBe(0)
      await first.append(part(k, 0, 14), part(v, 0, 14))
      first.remember(text)
      first.dispose()
      expect(pool.freePages).toBe(7)
      using second = new PagedCache({ pool, tokens: [...text.slice(0, 9), 1, 1, 1, 1] })
      expect(second.length).toBe(8)
      using whole = new PagedCache({ pool, tokens: text.slice(0, 12) })
      expect(whole.length).toBe(8)
      await second.append(part(k, 8, 14), part(v, 8, 14))
      expectRows(subject(), await outputOf(subject(), cachedAttention(part(q, 13, 14), second)), 13, 14, {}, 'float32', k, v)
      using third = new PagedCache({ pool })
      await third.append(part(k, 0, 24), part(v, 0, 24))
      expect(pool.freePages).toBe(0)
      expect(new PagedCache({ pool, tokens: text }).length).toBe(8)
    })
  })
}

/** Takes the text in by chunks; each must see what the whole shows it, as it is stored. */
async function expectPrefill(
  subject: Subject,
  cache: AttentionCache,
  options: ProblemOptions,
  asked: Parameters<typeof cachedAttention>[2] = {},
): Promise<void> {
  const { dtype } = cache.layout
  using everything = new KeyValueCache({ ...cache.layout, backend: subject.backend })
  await everything.append(k, v)
  const { stored } = await everything.save()
  let start = 0
  for (const count of chunks) {
    const end = start + count
    await cache.append(part(k, start, end), part(v, start, end))
    const actual = await outputOf(subject, cachedAttention(part(q, start, end), cache, asked))
    const scales = {
      keyScales: stored.keyScales && part(stored.keyScales, 0, end),
      valueScales: stored.valueScales && part(stored.valueScales, 0, end),
    }
    expectRows(subject, actual, start, end, { ...options, ...scales }, dtype, stored.key, stored.value)
    start = end
  }
}

function expectRows(
  subject: Subject,
  actual: Float64Array,
  start: number,
  end: number,
  options: ProblemOptions,
  dtype: string,
  key: HostTensor,
  value: HostTensor,
): void {
  const asked = problem(part(q, start, end), part(key, 0, end), part(value, 0, end), { ...options, causal: true })
  const exact = reference(asked, { backend: subject.platform })
  expectWithinBound(
    actual,
    { values: exact.output, bound: exact.bound },
    {
      name: `rows ${start}…${end}`,
      token: dtype,
      shape: [1, 4, end - start, asked.valueDim],
      backend: subject.platform,
    },
  )
}

function part(view: HostTensor, start: number, end: number): HostTensor {
  const { dtype, shape, strides, offset, storage } = slice(view, 2, start, end)
  return { dtype, shape, strides, offset, storage }
}

/** Only every other page of it is free, in another order: no two pages of a sequence follow one another. */
function scattered(pool: PagePool): PagePool {
  const pages = Array.from({ length: pool.pages }, () => pool.take()).filter((page) => page % 2 === 0)
  for (const page of pages.sort((a, b) => ((a * 7) % 24) - ((b * 7) % 24))) pool.give(page)
  return pool
}

/** A cache that takes its pool, if it has one, along. */
function poolOf(cache: AttentionCache): Disposable & { readonly cache: AttentionCache } {
  return {
    cache,
    [Symbol.dispose]() {
      cache.dispose()
      if (cache instanceof PagedCache) cache.pool.dispose()
    },
  }
}
