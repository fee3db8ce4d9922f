import { maskMod, reference, slice, type AttentionProblem, type Backend, type Partial, type Platform } from '@qkv/core'
import { expect } from 'vitest'
import type { Limits } from '../../draw-token.ts'
import { expectWithinBound } from '../../within-bound.ts'
import { expectAttention, takeAttention, takeResult } from '../suite.ts'
import type { Claims } from './claims.ts'
import { likeTensor, mapKeys, onHost, pickAlong, scoreParts, shuffled, takeKeys, takeRows } from './problem-parts.ts'

type Option = NonNullable<Limits['without']>[number]

/** Options that look at where a key stands, so that keys cannot change places. */
const positional: readonly Option[] = ['causal', 'window', 'lengths', 'bias', 'mask', 'maskMod', 'score', 'dropout']

/** What is the same asked in two ways comes out the same, within bounds. */
export function equivalenceClaims({ backend, platform, forRandomProblems }: Claims): void {
  forRandomProblems('keys can come in any order', { without: positional }, async ({ problem, token, stream }) => {
    const order = shuffled(problem.keyLength, stream)
    const reordered = { ...problem, ...mapKeys(problem, (view) => pickAlong(view, 2, order)) }
    expectAttention(await takeAttention(backend(), reordered), problem, reference(problem, { backend: platform }), token, platform)
  })

  forRandomProblems(
    'every key twice changes nothing but lse, by log 2',
    { without: [...positional, 'sinks'] },
    async ({ problem, token }) => {
      const twice = Array.from({ length: 2 * problem.keyLength }, (_, index) => index >> 1)
      const doubled = { ...problem, ...mapKeys(problem, (view) => pickAlong(view, 2, twice)), keyLength: twice.length }
      const { output, bound, lse, lseBound, weights } = reference(problem, { backend: platform })
      const expected = {
        output,
        bound: bound.map((b) => 2 * b),
        lse: lse.map((value) => value + Math.LN2),
        lseBound: lseBound.map((b) => 2 * b + 1e-7),
        weights,
      }
      expectAttention(await takeAttention(backend(), doubled), doubled, expected, token, platform)
    },
  )

  forRandomProblems(
    'where all values are one, so is the output of every row that sees a key',
    { without: ['sinks', 'dropout', 'quantised'] },
    async ({ problem, token }) => {
      const { batch, queryHeads, queryLength, valueDim } = problem
      const ones = { ...problem, value: likeTensor(problem.value, onHost(problem.value).fill(1)) }
      const { output } = await takeAttention(backend(), ones)
      const expected = reference(ones, { backend: platform })
      const sees = expected.output.map((_, index) => (expected.lse[Math.floor(index / valueDim)] === -Infinity ? 0 : 1))
      expectWithinBound(
        output,
        { values: sees, bound: expected.bound },
        { name: 'output', shape: [batch, queryHeads, queryLength, valueDim], token, backend: platform },
      )
    },
  )

  forRandomProblems('a group of query heads reads one key head as if each had its own', {}, async ({ problem, token }) => {
    const { queryHeads, group } = problem
    const heads = Array.from({ length: queryHeads }, (_, head) => Math.floor(head / group))
    const repeated = { ...problem, ...mapKeys(problem, (view) => pickAlong(view, 1, heads)), keyHeads: queryHeads, group: 1 }
    expectAttention(await takeAttention(backend(), repeated), problem, reference(problem, { backend: platform }), token, platform)
  })

  forRandomProblems(
    'a window is the mask that it stands for',
    { without: ['maskMod', 'window', 'causal'] },
    async ({ problem, token, stream }) => {
      const window = { left: stream.integer(0, 40), right: stream.integer(0, 40) }
      const spelled = maskMod(({ query, key }) => key.ge(query.sub(window.left)).and(key.le(query.add(window.right))))
      const expected = reference({ ...problem, window }, { backend: platform })
      expectAttention(await takeAttention(backend(), { ...problem, window }), problem, expected, token, platform)
      expectAttention(await takeAttention(backend(), { ...problem, maskMod: spelled }), problem, expected, token, platform)
    },
  )

  forRandomProblems(
    'rows computed a few at a time are the rows of the whole',
    { without: ['lengths', 'maskMod', 'score', 'dropout'] },
    async ({ problem, token, stream }) => {
      const { queryLength, keyLength } = problem
      if (queryLength < 2 || (problem.causal && problem.alignment === 'upper-left')) return
      const start = stream.integer(0, queryLength - 1)
      // The rows up to `start` stand before the rest: they see the keys that the rest of the rows leave them.
      const keys = Math.max(0, keyLength - (queryLength - start))
      const first = {
        ...problem,
        ...takeRows(problem, 0, start),
        queryLength: start,
        ...takeKeys(problem, keys),
        keyLength: keys,
        ...scoreParts(problem, 0, start, keys),
      }
      const rest = {
        ...problem,
        ...takeRows(problem, start, queryLength),
        queryLength: queryLength - start,
        ...scoreParts(problem, start, queryLength, keyLength),
      }
      const causal = { causal: true }
      const whole = reference({ ...problem, ...causal }, { backend: platform })
      if (keyLength >= queryLength) await expectRows(backend(), { ...first, ...causal }, whole, problem, 0, token, platform)
      await expectRows(backend(), { ...rest, ...causal }, whole, problem, start, token, platform)
    },
  )

  forRandomProblems(
    'partials of the keys, merged in any order, are the whole',
    { without: positional },
    async ({ problem, token, stream }) => {
      const cuts = [
        0,
        ...Array.from({ length: stream.integer(0, 4) }, () => stream.integer(0, problem.keyLength)),
        problem.keyLength,
      ].sort((a, b) => a - b)
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
    },
  )

  forRandomProblems(
    'merging with a part that sees nothing changes nothing',
    { without: ['dropout'] },
    async ({ problem, token }) => {
      const whole = backend().attention(problem, { lse: true })
      const nothing = backend().attention(
        { ...problem, maskMod: maskMod(({ key }) => key.lt(-1)), sinks: undefined },
        { lse: true },
      )
      const merged = backend().merge([
        { output: whole.output, lse: whole.lse! },
        { output: nothing.output, lse: nothing.lse! },
      ])
      expect((await takeResult(backend(), nothing)).lse.every((lse) => lse === -Infinity)).toBe(true)
      const [actual, expected] = [await takeResult(backend(), merged), await takeResult(backend(), whole)]
      // A sum that starts at 0 has no −0.
      expect(actual.output, token).toEqual(expected.output.map((value) => value + 0))
      expect(actual.lse, token).toEqual(expected.lse.map((value) => value + 0))
    },
  )
}

/** Attention over some of the keys; the first part has the sinks. */
function partOf(backend: Backend, problem: AttentionProblem, start: number, end: number, first: boolean): Partial {
  const keys = { ...mapKeys(problem, (view) => slice(view, 2, start, end)), keyLength: end - start }
  const { output, lse } = backend.attention({ ...problem, ...keys, sinks: first ? problem.sinks : undefined }, { lse: true })
  return { output, lse: lse! }
}

/** Compares some rows with those of the whole. */
async function expectRows(
  backend: Backend,
  part: AttentionProblem,
  whole: ReturnType<typeof reference>,
  problem: AttentionProblem,
  start: number,
  token: string,
  platform: Platform,
): Promise<void> {
  const { queryLength, valueDim } = problem
  const rows = (values: Float64Array, size: number): Float64Array =>
    Float64Array.from({ length: (values.length / queryLength) * part.queryLength }, (_, index) => {
      const [vector, element] = [Math.floor(index / size), index % size]
      const [head, row] = [Math.floor(vector / part.queryLength), vector % part.queryLength]
      return values[(head * queryLength + start + row) * size + element]!
    })
  const expected = {
    output: rows(whole.output, valueDim),
    bound: rows(whole.bound, valueDim),
    lse: rows(whole.lse, 1),
    lseBound: rows(whole.lseBound, 1),
    weights: undefined,
  }
  expectAttention(await takeAttention(backend, part), part, expected, token, platform)
}
