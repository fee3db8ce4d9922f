import {
  isHostTensor, maskMod, permute, reference, roundTo, slice, tensor, toFloat64,
  type AttentionProblem, type Backend, type HostTensor, type Partial, type Tensor,
} from '@qkv/core'
import { describe, expect, test } from 'vitest'
import { drawTokens, type Limits } from '../draw-token.ts'
import { randomProblem } from '../problems.ts'
import { random, type Random } from '../random.ts'
import { expectWithinBound } from '../within-bound.ts'
import { expectAttention, heldBackend, problemCount, takeAttention, takeResult, type Suite, type TakenResult } from './suite.ts'

type Option = NonNullable<Limits['without']>[number]

/** Options that look at where a key stands, so that keys cannot change places. */
const positional: readonly Option[] = ['causal', 'window', 'lengths', 'bias', 'mask', 'maskMod', 'score', 'dropout']

/**
 * Properties of attention that need no reference, or one of another problem: what must not matter does not, and what is
 * the same comes out the same.
 */
export function propertySuite(suite: Suite): void {
  describe('properties of attention', { timeout: 600_000 }, () => {
    const backend = heldBackend(suite)
    const { platform = 'cpu' } = suite

    interface Given {
      readonly problem: AttentionProblem
      readonly token: string
      readonly stream: Random
    }

    function forRandomProblems(name: string, limits: Limits, check: (given: Given) => Promise<void>, count = 40): void {
      test(name, async () => {
        const tokens = drawTokens({ count: problemCount(suite, count), seed: 7, limits: { work: 2 ** 13, ...suite.limits, ...limits } })
        for (const token of tokens) {
          const { problem, spec } = randomProblem(token)
          await check({ problem, token, stream: random(spec.seed, name) })
        }
      })
    }

    forRandomProblems('other queries, heads and batch entries do not matter, to the bit', {}, async ({ problem, token, stream }) => {
      const { batch, queryHeads, queryLength, valueDim } = problem
      if (batch * queryHeads * queryLength < 2) return
      const kept = stream.integer(0, batch * queryHeads * queryLength - 1)
      const noise = onHost(problem.query).map((element, index) => (Math.floor(index / problem.headDim) === kept ? element : element + 1))
      const before = await takeAttention(backend(), problem)
      const after = await takeAttention(backend(), { ...problem, query: likeTensor(problem.query, noise) })
      expect(after.lse[kept], token).toBe(before.lse[kept])
      expect(after.output.slice(kept * valueDim, (kept + 1) * valueDim), token).toEqual(before.output.slice(kept * valueDim, (kept + 1) * valueDim))
    })

    forRandomProblems('keys that nobody sees do not matter, whatever they hold, to the bit', { without: ['poison', 'quantised'] }, async ({ problem, token, stream }) => {
      const { batch, keyLength, keyHeads } = problem
      const lengths = Int32Array.from({ length: batch }, () => stream.integer(0, keyLength))
      const limited = { ...problem, lengths: tensor(lengths, [batch]) }
      const hidden = (dim: number) => (element: number, index: number): number => {
        const vector = Math.floor(index / dim)
        return vector % keyLength >= lengths[Math.floor(vector / keyLength / keyHeads)]! ? stream.pick([NaN, Infinity, 1e30]) : element
      }
      const poisoned = {
        ...limited,
        key: likeTensor(problem.key, onHost(problem.key).map(hidden(problem.headDim))),
        value: likeTensor(problem.value, onHost(problem.value).map(hidden(problem.valueDim))),
      }
      expect(await takeAttention(backend(), poisoned), token).toEqual(await takeAttention(backend(), limited))
    })

    forRandomProblems('keys can come in any order', { without: positional }, async ({ problem, token, stream }) => {
      const order = shuffled(problem.keyLength, stream)
      const reordered = { ...problem, ...mapKeys(problem, (view) => pickAlong(view, 2, order)) }
      expectAttention(await takeAttention(backend(), reordered), problem, reference(problem, { backend: platform }), token, platform)
    })

    forRandomProblems('every key twice changes nothing but lse, by log 2', { without: [...positional, 'sinks'] }, async ({ problem, token }) => {
      const twice = Array.from({ length: 2 * problem.keyLength }, (_, index) => index >> 1)
      const doubled = { ...problem, ...mapKeys(problem, (view) => pickAlong(view, 2, twice)), keyLength: twice.length }
      const { output, bound, lse, lseBound, weights } = reference(problem, { backend: platform })
      const expected = { output, bound: bound.map((b) => 2 * b), lse: lse.map((value) => value + Math.LN2), lseBound: lseBound.map((b) => 2 * b + 1e-7), weights }
      expectAttention(await takeAttention(backend(), doubled), doubled, expected, token, platform)
    })

    forRandomProblems('where all values are one, so is the output of every row that sees a key', { without: ['sinks', 'dropout', 'quantised'] }, async ({ problem, token }) => {
      const { batch, queryHeads, queryLength, valueDim } = problem
      const ones = { ...problem, value: likeTensor(problem.value, onHost(problem.value).fill(1)) }
      const { output, lse } = await takeAttention(backend(), ones)
      const expected = reference(ones, { backend: platform })
      const sees = expected.output.map((_, index) => (lse[Math.floor(index / valueDim)] === -Infinity ? 0 : 1))
      expectWithinBound(output, { values: sees, bound: expected.bound }, { name: 'output', shape: [batch, queryHeads, queryLength, valueDim], token, backend: platform })
    })

    forRandomProblems('values of twice the size give outputs of twice the size, to the bit', { dtypes: ['float32', 'bfloat16'], without: ['quantised'] }, async ({ problem, token }) => {
      const large = { ...problem, value: likeTensor(problem.value, onHost(problem.value).map((element) => 1024 * element)) }
      const before = await takeAttention(backend(), problem)
      const after = await takeAttention(backend(), large)
      expect(after.lse, token).toEqual(before.lse)
      // What is subnormal on the way has been rounded already.
      after.output.forEach((value, index) => {
        const expected = 1024 * before.output[index]!
        if (Math.abs(expected) > 1e-30 && !Object.is(value, expected)) expect.fail(`${value} instead of ${expected}\n${token}`)
      })
    })

    forRandomProblems('queries of twice the size at half the scale change nothing, to the bit', { dtypes: ['float32', 'bfloat16'] }, async ({ problem, token }) => {
      const same = { ...problem, query: likeTensor(problem.query, onHost(problem.query).map((element) => 4 * element)), scale: problem.scale / 4 }
      expect(await takeAttention(backend(), same), token).toEqual(await takeAttention(backend(), problem))
    })

    forRandomProblems('how the operands lie in memory does not matter, to the bit', {}, async ({ problem, token }) => {
      const packed = { ...problem }
      for (const name of ['query', 'key', 'value', 'bias', 'mask'] as const) {
        const view = problem[name]
        if (view !== undefined) Object.assign(packed, { [name]: likeTensor(view, onHost(view)) })
      }
      expect(await takeAttention(backend(), packed), token).toEqual(await takeAttention(backend(), problem))
    })

    forRandomProblems('tensors that live on the backend count as those over typed arrays, to the bit', {}, async ({ problem, token }) => {
      const uploaded = Object.entries(problem).filter(([, part]) => isTensorPart(part)).map(([name, view]) => [name, backend().upload(view as HostTensor)] as const)
      const resident = { ...problem, ...Object.fromEntries(uploaded) }
      const [there, here] = [await takeAttention(backend(), resident), await takeAttention(backend(), problem)]
      for (const [, view] of uploaded) view.dispose()
      expect(there, token).toEqual(here)
    })

    forRandomProblems('a group of query heads reads one key head as if each had its own', {}, async ({ problem, token }) => {
      const { queryHeads, group } = problem
      const heads = Array.from({ length: queryHeads }, (_, head) => Math.floor(head / group))
      const repeated = { ...problem, ...mapKeys(problem, (view) => pickAlong(view, 1, heads)), keyHeads: queryHeads, group: 1 }
      expectAttention(await takeAttention(backend(), repeated), problem, reference(problem, { backend: platform }), token, platform)
    })

    forRandomProblems('a window is the mask that it stands for', { without: ['mask', 'maskMod', 'window', 'causal'] }, async ({ problem, token, stream }) => {
      const window = { left: stream.integer(0, 40), right: stream.integer(0, 40) }
      const spelled = maskMod(({ query, key }) => key.ge(query.sub(window.left)).and(key.le(query.add(window.right))))
      const expected = reference({ ...problem, window }, { backend: platform })
      expectAttention(await takeAttention(backend(), { ...problem, window }), problem, expected, token, platform)
      expectAttention(await takeAttention(backend(), { ...problem, maskMod: spelled }), problem, expected, token, platform)
    })

    forRandomProblems('rows computed a few at a time are the rows of the whole', { without: ['lengths', 'maskMod', 'score', 'dropout'] }, async ({ problem, token, stream }) => {
      const { queryLength, keyLength } = problem
      if (queryLength < 2 || problem.causal && problem.alignment === 'upper-left') return
      const start = stream.integer(0, queryLength - 1)
      // The rows up to `start` stand before the rest: they see the keys that the rest of the rows leave them.
      const keys = Math.max(0, keyLength - (queryLength - start))
      const first = { ...problem, ...takeRows(problem, 0, start), queryLength: start, ...takeKeys(problem, keys), keyLength: keys, ...scoreParts(problem, 0, start, keys) }
      const rest = { ...problem, ...takeRows(problem, start, queryLength), queryLength: queryLength - start, ...scoreParts(problem, start, queryLength, keyLength) }
      const causal = { causal: true }
      const whole = reference({ ...problem, ...causal }, { backend: platform })
      if (keyLength >= queryLength) await expectRows(backend(), { ...first, ...causal }, whole, problem, 0, token)
      await expectRows(backend(), { ...rest, ...causal }, whole, problem, start, token)
    })

    forRandomProblems('partials of the keys, merged in any order, are the whole', { without: positional }, async ({ problem, token, stream }) => {
      const cuts = [0, ...Array.from({ length: stream.integer(0, 4) }, () => stream.integer(0, problem.keyLength)), problem.keyLength].sort((a, b) => a - b)
      const parts = cuts.slice(1).map((end, index) => partOf(backend(), problem, cuts[index]!, end, index === 0))
      const merged = backend().merge(shuffled(parts.length, stream).map((index) => parts[index]!))
      for (const part of parts) for (const view of [part.output, part.lse]) (view as { dispose?(): void }).dispose?.()
      const expected = reference(problem, { backend: platform })
      // Each part is rounded to the output's dtype before they are merged.
      const unit = { float32: 0, float16: 2 ** -10, bfloat16: 2 ** -7 }[problem.query.dtype as 'float32']
      const largest = onHost(problem.value).reduce((most, element) => Math.max(most, Math.abs(element)), 0)
      const bound = expected.bound.map((b) => 4 * b + unit * largest + 1e-6 * largest)
      const lseBound = expected.lseBound.map((b, row) => 4 * b + 1e-6 * (1 + Math.abs(expected.lse[row]!)))
      expectAttention(await takeResult(backend(), merged), problem, { ...expected, bound, lseBound }, token, platform)
    })

    forRandomProblems('merging with a part that sees nothing changes nothing', { without: ['dropout'] }, async ({ problem, token }) => {
      const whole = backend().attention(problem, { lse: true })
      const nothing = backend().attention({ ...problem, maskMod: maskMod(({ key }) => key.lt(-1)), sinks: undefined }, { lse: true })
      const merged = backend().merge([{ output: whole.output, lse: whole.lse! }, { output: nothing.output, lse: nothing.lse! }])
      expect((await takeResult(backend(), nothing)).lse.every((lse) => lse === -Infinity)).toBe(true)
      const [actual, expected] = [await takeResult(backend(), merged), await takeResult(backend(), whole)]
      // A sum that starts at 0 has no −0.
      expect(actual.output, token).toEqual(expected.output.map((value) => value + 0))
      expect(actual.lse, token).toEqual(expected.lse.map((value) => value + 0))
    })

    forRandomProblems('what memory held before does not matter, to the bit', {}, async ({ problem, token }) => {
      const before = await takeAttention(backend(), problem)
      backend().upload(tensor(new Float32Array(50_000).fill(NaN), [50_000])).dispose()
      expect(await takeAttention(backend(), problem), token).toEqual(before)
    })

    // WGSL promises nothing of what is not finite.
    if (platform === 'cpu') {
      forRandomProblems('a query or key that is not finite poisons just the rows that see it', { without: ['quantised'] }, async ({ problem, token, stream }) => {
        await expectPoisoned({ ...problem, query: poisoned(problem.query, stream), key: poisoned(problem.key, stream) }, token)
      }, 100)

      // Of equal weights none is too small to matter.
      forRandomProblems('a value that is not finite poisons just its component, in the rows that see it', { without: ['quantised', 'bias', 'score', 'sinks'] }, async ({ problem, token, stream }) => {
        await expectPoisoned({ ...problem, scale: 0, value: poisoned(problem.value, stream) }, token)
      }, 100)
    }

    async function expectPoisoned(problem: AttentionProblem, token: string): Promise<void> {
      const expected = reference(problem)
      // An infinite product may have a finite softcapped score, of whose error nothing is known but that it is finite.
      const known = (bound: Float64Array): Float64Array => bound.map((own) => (Number.isNaN(own) ? Infinity : own))
      const bounds = { bound: known(expected.bound), lseBound: known(expected.lseBound) }
      expectAttention(await takeAttention(backend(), problem), problem, { ...expected, ...bounds }, token)
    }

    forRandomProblems('the same call gives the same bits', {}, async ({ problem, token }) => {
      const first = await takeAttention(backend(), problem)
      for (let again = 0; again < 5; again++) expect(await takeAttention(backend(), problem), token).toEqual(first)
    }, 20)
  })
}

/** Elements of a host tensor, row-major, exact. */
function onHost(view: Tensor): Float64Array {
  if (!isHostTensor(view)) throw new Error('a tensor in host memory was expected')
  return toFloat64(view)
}

function isTensorPart(part: unknown): boolean {
  return typeof part === 'object' && part !== null && 'storage' in part
}

/** A packed tensor of other elements. */
function likeTensor({ shape, dtype }: Tensor, elements: ArrayLike<number>): HostTensor {
  return tensor(roundTo(elements, dtype), shape, { dtype })
}

/** A packed tensor with one element that is not finite. */
function poisoned(view: Tensor, stream: Random): HostTensor {
  const elements = onHost(view)
  if (elements.length > 0) elements[stream.integer(0, elements.length - 1)] = stream.pick([NaN, NaN, Infinity, -Infinity])
  return likeTensor(view, elements)
}

/** Elements of one axis, in the order given, as a packed tensor. */
function pickAlong(view: Tensor, axis: number, indices: readonly number[]): HostTensor {
  if (!isHostTensor(view)) throw new Error('a tensor in host memory was expected')
  const last = [0, 1, 2, 3].filter((other) => other !== axis)
  const byAxis = permute(view, [axis, ...last])
  const rows = indices.map((index) => toFloat64(slice(byAxis, 0, index, index + 1)))
  const size = rows[0]?.length ?? 0
  const all = new Float64Array(rows.length * size)
  rows.forEach((row, place) => all.set(row, place * size))
  const moved = likeTensor({ ...byAxis, shape: byAxis.shape.with(0, indices.length) }, all)
  return permute(moved, [0, 1, 2, 3].map((at) => [axis, ...last].indexOf(at)))
}

/** Keys, values and their scales, each changed alike. */
function mapKeys(problem: AttentionProblem, change: (view: Tensor) => Tensor) {
  const { key, value, keyScales, valueScales } = problem
  return { key: change(key), value: change(value), keyScales: keyScales && change(keyScales), valueScales: valueScales && change(valueScales) }
}

function takeKeys(problem: AttentionProblem, count: number) {
  return mapKeys(problem, (view) => slice(view, 2, 0, count))
}

function takeRows({ query }: AttentionProblem, start: number, end: number) {
  return { query: slice(query, 2, start, end) }
}

/** Bias and mask of some rows and the first keys. */
function scoreParts({ bias, mask }: AttentionProblem, start: number, end: number, keys: number) {
  const part = (view: Tensor | undefined): Tensor | undefined => view && slice(slice(view, 2, start, end), 3, 0, keys)
  return { bias: part(bias), mask: part(mask) }
}

/** Attention over some of the keys; the first part has the sinks. */
function partOf(backend: Backend, problem: AttentionProblem, start: number, end: number, first: boolean): Partial {
  const keys = { ...mapKeys(problem, (view) => slice(view, 2, start, end)), keyLength: end - start }
  const { output, lse } = backend.attention({ ...problem, ...keys, sinks: first ? problem.sinks : undefined }, { lse: true })
  return { output, lse: lse! }
}

/** Compares some rows with those of the whole. */
async function expectRows(
  backend: Backend, part: AttentionProblem, whole: ReturnType<typeof reference>, problem: AttentionProblem, start: number, token: string,
): Promise<void> {
  const { queryLength, valueDim } = problem
  const rows = (values: Float64Array, size: number): Float64Array =>
    Float64Array.from({ length: (values.length / queryLength) * part.queryLength }, (_, index) => {
      const [vector, element] = [Math.floor(index / size), index % size]
      const [head, row] = [Math.floor(vector / part.queryLength), vector % part.queryLength]
      return values[(head * queryLength + start + row) * size + element]!
    })
  const expected = {
    output: rows(whole.output, valueDim), bound: rows(whole.bound, valueDim),
    lse: rows(whole.lse, 1), lseBound: rows(whole.lseBound, 1), weights: undefined,
  }
  const actual: TakenResult = await takeAttention(backend, part)
  expectAttention(actual, part, expected, token)
}

function shuffled(count: number, stream: Random): number[] {
  const order = Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const other = stream.integer(0, last)
    ;[order[last], order[other]] = [order[other]!, order[last]!]
  }
  return order
}
