import { maskMod, problem, reference, slice, tensor, toFloat32, type HostTensor, type ProblemOptions } from '@qkv/core'
import { attention, cachedAttention, KeyValueCache } from '@qkv/attention'
import { PagedCache, PagePool } from '@qkv/attention/paged'
import { expectWithinBound } from '@qkv/testing'
import fc, { type Arbitrary } from 'fast-check'
import { expect, it, vi } from 'vitest'
import { expectReference, normal, outputOf, type Subject } from './subject.ts'

/** Sizes of a problem, and what is asked of any: drawn, and shrunk to the least that fails. */
interface Drawn {
  readonly batch: number
  readonly keyHeads: number
  /** Query heads for each key head. */
  readonly group: number
  readonly queryLength: number
  readonly keyLength: number
  readonly headDim: number
  readonly valueDim: number
  readonly softcap: number | undefined
}

const from = (min: number, max: number): Arbitrary<number> => fc.integer({ min, max })
const size = (most: number): Arbitrary<number> => from(1, most)

const sizes = {
  batch: size(3),
  keyHeads: size(3),
  group: size(3),
  queryLength: size(20),
  keyLength: size(40),
  headDim: size(5).map((quarter) => 4 * quarter),
  valueDim: size(5).map((quarter) => 4 * quarter),
  softcap: fc.option(fc.constantFrom(2, 30), { nil: undefined }),
}

/** Choices that a claim makes among whatever sizes were drawn: each 0 ≤ share < 1. */
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const within = (fraction: number, lowest: number, highest: number): number => lowest + Math.floor(fraction * (highest - lowest + 1))

/** Algebra of attention: what holds for any problem, whatever its numbers, on any backend. */
export function propertyClaims(subject: () => Subject): void {
  const attend = (query: HostTensor, key: HostTensor, value: HostTensor, options: ProblemOptions = {}): Promise<Float64Array> =>
    outputOf(subject(), attention(query, key, value, { ...options, backend: subject().backend }))

  /** Holds for many draws: the same ones each time; a failure names the least that fails, and a seed and path that replay it. */
  const holds = <T>(draw: Arbitrary<T>, claim: (drawn: T) => Promise<void>): Promise<void> =>
    fc.assert(fc.asyncProperty(draw, claim), { seed: 8, numRuns: subject().platform === 'wgsl' ? 20 : 100 })

  it('does not mind the order of keys', () =>
    holds(fc.record({ ...sizes, order: fc.infiniteStream(share) }), async ({ order, ...drawn }) => {
      const { q, k, v, options } = numbersOf(drawn)
      const shuffled = shuffle(drawn.keyLength, order)
      expectReference(subject(), await attend(q, tokens(k, shuffled), tokens(v, shuffled), options), q, k, v, options)
    }))

  it('never lets what comes later reach a row', () =>
    holds(fc.record({ ...sizes, queryLength: from(2, 20), cut: share }), async ({ cut, ...drawn }) => {
      const { q, k, v, options } = numbersOf(drawn)
      const cleanRows = within(cut, 1, drawn.queryLength - 1)
      // Row i stands at keyLength − queryLength + i.
      const later = Math.max(0, drawn.keyLength - drawn.queryLength + cleanRows)
      const clean = await attend(q, k, v, { ...options, causal: true })
      const poisoned = await attend(q, poison(k, later), poison(v, later), { ...options, causal: true })
      expectSameRows(poisoned, clean, drawn, 0, cleanRows)
    }))

  it('never lets what the window leaves out reach a row', () =>
    holds(fc.record({ ...sizes, keyLength: from(14, 40), left: fc.nat(12), cut: share }), async ({ left, cut, ...drawn }) => {
      const { q, k, v, options } = numbersOf(drawn)
      const windowed = { ...options, causal: true, window: { left } }
      // At least the last row's window begins after the poison.
      const until = within(cut, 1, drawn.keyLength - 1 - left)
      const clean = await attend(q, k, v, windowed)
      const poisoned = await attend(q, poison(k, 0, until), poison(v, 0, until), windowed)
      const first = until + left - (drawn.keyLength - drawn.queryLength)
      expectSameRows(poisoned, clean, drawn, first, drawn.queryLength)
    }))

  it('does not mind the neighbours in a batch, nor the other heads', () =>
    holds(fc.record({ ...sizes, entry: share, head: share }), async ({ entry, head, ...drawn }) => {
      const { batch, keyHeads, group, queryLength, valueDim } = drawn
      const { q, k, v, options } = numbersOf(drawn)
      const causal = { ...options, causal: true }
      const whole = await attend(q, k, v, causal)
      const [b, h] = [within(entry, 0, batch - 1), within(head, 0, keyHeads - 1)]
      const alone = (view: HostTensor, heads: number): HostTensor => slice(slice(view, 0, b, b + 1), 1, h * heads, (h + 1) * heads)
      const plane = group * queryLength * valueDim
      const start = (b * keyHeads + h) * plane
      expect(await attend(alone(q, group), alone(k, 1), alone(v, 1), causal)).toEqual(whole.subarray(start, start + plane))
    }))

  it('reads grouped keys as if they were repeated for each query head', () =>
    holds(fc.record({ ...sizes, causal: fc.boolean() }), async ({ causal, ...drawn }) => {
      const { q, k, v, options } = numbersOf(drawn)
      const repeated = await attend(q, repeatHeads(k, drawn.group), repeatHeads(v, drawn.group), { ...options, causal })
      expectReference(subject(), repeated, q, k, v, { ...options, causal })
      expectReference(subject(), await attend(q, k, v, { ...options, causal }), q, k, v, { ...options, causal })
    }))

  it('sees through a window what the same mask shows', () =>
    holds(fc.record({ ...sizes, left: fc.nat(12), right: fc.nat(12) }), async ({ left, right, ...drawn }) => {
      const { q, k, v, options } = numbersOf(drawn)
      const mask = maskMod(({ query, key }) => query.sub(key).le(left).and(key.sub(query).le(right)))
      const [windowed, masked] = [
        { ...options, window: { left, right } },
        { ...options, mask },
      ]
      expectReference(subject(), await attend(q, k, v, windowed), q, k, v, masked)
      expectReference(subject(), await attend(q, k, v, masked), q, k, v, windowed)
    }))

  it('gives in chunks what it gives at once', () =>
    holds(fc.record({ ...sizes, chunks: chunks() }), async ({ chunks, ...drawn }) => {
      const { q, k, v, expectRows, options } = selfAttention(subject(), drawn)
      for (const [start, end] of spans(drawn.keyLength, chunks)) {
        const rows = slice(q, 2, start, end)
        expectRows(await attend(rows, slice(k, 2, 0, end), slice(v, 2, 0, end), options), start, end)
      }
    }))

  it('decodes through a cache, in any steps, what it gives at once', () =>
    holds(fc.record({ ...sizes, chunks: chunks() }), async ({ chunks, ...drawn }) => {
      const { batch, keyHeads: heads, headDim, valueDim, softcap } = drawn
      const { q, k, v, expectRows } = selfAttention(subject(), drawn)
      using cache = new KeyValueCache({ backend: subject().backend, batch, heads, headDim, valueDim })
      for (const [start, end] of spans(drawn.keyLength, chunks)) {
        await cache.append(slice(k, 2, start, end), slice(v, 2, start, end))
        expectRows(await outputOf(subject(), cachedAttention(slice(q, 2, start, end), cache, { softcap })), start, end)
      }
    }))

  it('merges from any split of the keys, by any tree, to the whole', () =>
    holds(fc.record({ ...sizes, cuts: fc.array(share, { maxLength: 7 }), tree: fc.infiniteStream(share) }), async (all) => {
      const { cuts, tree, ...drawn } = all
      const { backend } = subject()
      const { q, k, v, options } = numbersOf(drawn)
      // Cuts may coincide: then there are parts without keys.
      const at = [0, ...cuts.map((cut) => within(cut, 0, drawn.keyLength)).toSorted((a, b) => a - b), drawn.keyLength]
      const partOf = async (start: number, end: number) => {
        const part = await attention(q, slice(k, 2, start, end), slice(v, 2, start, end), { ...options, backend, lse: true })
        return { output: part.output, lse: part.lse! }
      }
      const parts = await Promise.all(at.slice(1).map((end, index) => partOf(at[index]!, end)))
      const draw = () => parts.splice(within(tree.next().value, 0, parts.length - 1), 1)[0]!
      while (parts.length > 1) {
        const pair = [draw(), draw()]
        const { output, lse } = backend.merge(pair)
        pair.forEach((each) => [each.output, each.lse].forEach((held) => held.dispose()))
        parts.push({ output, lse: lse! })
      }
      expectReference(subject(), await outputOf(subject(), Promise.resolve(draw())), q, k, v, options)
    }))

  it('gives, from pages in any order, the bits that keys in one piece give', () => {
    // More than one page each.
    const paged = { ...sizes, batch: fc.constant(1), keyLength: from(6, 40) }
    return holds(fc.record({ ...paged, pageSize: size(5), order: fc.infiniteStream(share), chunks: chunks() }), async (all) => {
      const { pageSize, order, chunks, ...drawn } = all
      const { backend } = subject()
      const { keyHeads: heads, headDim, valueDim, softcap } = drawn
      const { q, k, v } = numbersOf({ ...drawn, queryLength: Math.min(drawn.queryLength, drawn.keyLength) })
      const layout = { backend, heads, headDim, valueDim }
      using plain = new KeyValueCache(layout)
      using pool = new PagePool({ ...layout, pages: 2 * Math.ceil(drawn.keyLength / pageSize), pageSize })
      scatter(pool, order)
      using pages = new PagedCache({ pool })
      for (const [start, end] of spans(drawn.keyLength, chunks)) {
        for (const cache of [plain, pages]) await cache.append(slice(k, 2, start, end), slice(v, 2, start, end))
      }
      using gather = vi.spyOn(backend, 'gather')
      const whole = await outputOf(subject(), cachedAttention(q, plain, { softcap }))
      expect(gather).not.toHaveBeenCalled()
      expect(await outputOf(subject(), cachedAttention(q, pages, { softcap }))).toEqual(whole)
      expect(gather).toHaveBeenCalled()
    })
  })
}

/** Numbers for the sizes drawn: the same for the same sizes. */
function numbersOf({ batch, keyHeads, group, queryLength, keyLength, headDim, valueDim, softcap }: Drawn): {
  readonly q: HostTensor
  readonly k: HostTensor
  readonly v: HostTensor
  readonly options: ProblemOptions
} {
  return {
    q: normal('q', [batch, keyHeads * group, queryLength, headDim]),
    k: normal('k', [batch, keyHeads, keyLength, headDim]),
    v: normal('v', [batch, keyHeads, keyLength, valueDim]),
    options: { softcap },
  }
}

/** Causal attention of as many queries as keys, and the reference for any of its rows. */
function selfAttention(subject: Subject, drawn: Drawn) {
  const { keyLength, valueDim } = drawn
  const { q, k, v, options } = numbersOf({ ...drawn, queryLength: keyLength })
  const causal = { ...options, causal: true }
  const exact = reference(problem(q, k, v, causal), { backend: subject.platform })
  const expectRows = (actual: Float64Array, start: number, end: number): void => {
    const heads = drawn.batch * drawn.keyHeads * drawn.group
    const pick = (all: Float64Array): Float64Array =>
      Float64Array.from({ length: heads * (end - start) * valueDim }, (_, index) => {
        const [row, c] = [Math.floor(index / valueDim), index % valueDim]
        return all[(Math.floor(row / (end - start)) * keyLength + start + (row % (end - start))) * valueDim + c]!
      })
    expectWithinBound(
      actual,
      { values: pick(exact.output), bound: pick(exact.bound) },
      { name: 'rows', token: `rows ${start}…${end}`, shape: [heads, end - start, valueDim], backend: subject.platform },
    )
  }
  return { q, k, v, options: causal, expectRows }
}

/** Sizes of the steps in which a text is taken in, many of one token. */
function chunks(): Arbitrary<fc.Stream<number>> {
  return fc.infiniteStream(fc.oneof(fc.constant(1), size(16)))
}

/** From 0 to `length` in steps of these sizes: `[start, end]` of each. */
function* spans(length: number, steps: fc.Stream<number>): Generator<readonly [start: number, end: number]> {
  for (let start = 0, end = 0; start < length; start = end) {
    end = Math.min(length, start + steps.next().value)
    yield [start, end]
  }
}

/** 0 … length − 1 in an order of the stream's. */
function shuffle(length: number, order: fc.Stream<number>): number[] {
  const rest = Array.from({ length }, (_, index) => index)
  return Array.from({ length }, () => rest.splice(within(order.next().value, 0, rest.length - 1), 1)[0]!)
}

/** Leaves every other page free, in an order of the stream's: no two pages of a sequence follow one another. */
function scatter(pool: PagePool, order: fc.Stream<number>): void {
  const even = Array.from({ length: pool.pages }, () => pool.take()).filter((page) => page % 2 === 0)
  for (const index of shuffle(even.length, order)) pool.give(even[index]!)
}

/** The tokens of a tensor [batch, heads, length, dim] in this order. */
function tokens(view: HostTensor, order: readonly number[]): HostTensor {
  const [, , length = 0, dim = 0] = view.shape
  const values = toFloat32(view)
  const from = (row: number): number => row - (row % length) + order[row % length]!
  return tensor(
    values.map((_, index) => values[from(Math.floor(index / dim)) * dim + (index % dim)]!),
    view.shape,
  )
}

/** The same with NaN in tokens `start ≤ j < end`. */
function poison(view: HostTensor, start: number, end = Infinity): HostTensor {
  const [, , length = 0, dim = 0] = view.shape
  return tensor(
    toFloat32(view).map((element, index) => {
      const token = Math.floor(index / dim) % length
      return token >= start && token < end ? NaN : element
    }),
    view.shape,
  )
}

/** As many heads as queries have, of keys or values that groups of `times` of them share. */
export function repeatHeads(view: HostTensor, times: number): HostTensor {
  const [batch = 0, heads = 0, length = 0, dim = 0] = view.shape
  const values = toFloat32(view)
  const plane = length * dim
  return tensor(
    Float32Array.from(
      { length: times * values.length },
      (_, index) => values[Math.floor(index / plane / times) * plane + (index % plane)]!,
    ),
    [batch, times * heads, length, dim],
  )
}

/** Rows `first ≤ row < end` of every head are the same, bit for bit, and there are some. */
function expectSameRows(actual: Float64Array, expected: Float64Array, drawn: Drawn, first: number, end: number): void {
  const { queryLength, valueDim } = drawn
  const [from, until] = [Math.max(0, first) * valueDim, end * valueDim]
  expect(until).toBeGreaterThan(from)
  for (let head = 0; head < expected.length; head += queryLength * valueDim)
    expect(actual.subarray(head + from, head + until)).toEqual(expected.subarray(head + from, head + until))
}
