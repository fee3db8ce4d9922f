import {
  composeScores,
  permute,
  problem,
  reference,
  scoreMod,
  slice,
  tensor,
  toFloat32,
  toFloat64,
  type AttentionProblem,
  type HostTensor,
  type ProblemOptions,
} from '@qkv/core'
import { mergePartials } from '@qkv/core/merge'
import { attention } from '@qkv/attention'
import { alibi, rotary, sinusoidal } from '@qkv/positional'
import { expectWithinBound, randomProblems } from '@qkv/testing'
import { expect, it } from 'vitest'
import { repeatHeads } from './properties.ts'
import { expectReference, home, normal, outputOf, valuesOf, type Subject } from './subject.ts'

/** What holds for `attention()` on any backend. */
export function attentionClaims(subject: () => Subject): void {
  const q = normal('q', [2, 4, 13, 16])
  const k = normal('k', [2, 2, 21, 16])
  const v = normal('v', [2, 2, 21, 12])
  const attend = (query: HostTensor, key: HostTensor, value: HostTensor, options: ProblemOptions = {}): Promise<Float64Array> =>
    outputOf(subject(), attention(query, key, value, { ...options, backend: subject().backend }))

  it('is within the bound of the reference, for random problems', async () => {
    const { backend, platform } = subject()
    for (const { token, problem } of randomProblems({ count: platform === 'wgsl' ? 8 : 40, seed: 8, limits: { work: 2 ** 14 } })) {
      const exact = reference(problem, { backend: platform })
      const { output, lse } = await attention(problem.query, problem.key, problem.value, {
        ...optionsOf(problem),
        lse: true,
        backend,
      })
      expectWithinBound(
        await valuesOf(subject(), output),
        { values: exact.output, bound: exact.bound },
        { name: 'output', shape: output.shape, token, backend: platform },
      )
      expectWithinBound(
        await valuesOf(subject(), lse!),
        { values: exact.lse, bound: exact.lseBound },
        { name: 'lse', shape: lse!.shape, token, backend: platform },
      )
      output.dispose()
      lse?.dispose()
    }
  })

  it('reads grouped keys, for many queries, with the very bits that they give when repeated', async () => {
    expect(await attend(q, repeatHeads(k, 2), repeatHeads(v, 2), { causal: true })).toEqual(await attend(q, k, v, { causal: true }))
  })

  it('does not mind how tensors lie in memory', async () => {
    const headsLast = (view: HostTensor): HostTensor => {
      const byLength = permute(view, [0, 2, 1, 3])
      return permute(tensor(toFloat32(byLength), byLength.shape), [0, 2, 1, 3])
    }
    expect(await attend(headsLast(q), headsLast(k), headsLast(v))).toEqual(await attend(q, k, v))
  })

  it('merges many parts at once, or two by two at home, to the whole', async () => {
    const { backend } = subject()
    const parts = await Promise.all(
      [
        [0, 4],
        [4, 5],
        [5, 5],
        [5, 21],
      ].map(([start = 0, end = 0]) => attention(q, slice(k, 2, start, end), slice(v, 2, start, end), { backend, lse: true })),
    )
    const partials = parts.map(({ output, lse }) => ({ output, lse: lse! }))
    for (const order of [
      [0, 1, 2, 3],
      [3, 1, 0, 2],
    ]) {
      const merged = backend.merge(order.map((index) => partials[index]!))
      expectReference(subject(), await outputOf(subject(), merged), q, k, v, {})
    }
    const [a, b, c, d] = await Promise.all(
      partials.map(async ({ output, lse }) => ({ output: await home(subject(), output), lse: await home(subject(), lse) })),
    )
    const tree = mergePartials([mergePartials([d!, a!]), mergePartials([c!, b!])])
    expectReference(subject(), await valuesOf(subject(), tree.output), q, k, v, {})
    partials.forEach(({ output, lse }) => [output, lse].forEach((made) => made.dispose()))
  })

  it('stays between the least and the greatest value of each column, and is one where all values are', async () => {
    const { platform } = subject()
    const exact = reference(problem(q, k, v), { backend: platform })
    const values = toFloat64(v)
    ;(await attend(q, k, v)).forEach((element, index) => {
      const [head, c] = [Math.floor(index / (13 * 12)), index % 12]
      const column = Array.from({ length: 21 }, (_, j) => values[(Math.floor(head / 2) * 21 + j) * 12 + c]!)
      expect(element).toBeGreaterThanOrEqual(Math.min(...column) - exact.bound[index]!)
      expect(element).toBeLessThanOrEqual(Math.max(...column) + exact.bound[index]!)
    })
    const ones = tensor(new Float32Array(2 * 2 * 21 * 12).fill(1), [2, 2, 21, 12])
    expectReference(subject(), await attend(q, k, ones), q, k, ones, {})
    for (const element of await attend(q, k, ones)) expect(element).toBeCloseTo(1, 5)
  })

  it('takes a power of two from the scale to the queries exactly', async () => {
    const larger = tensor(
      toFloat32(q).map((element) => 4 * element),
      q.shape,
    )
    expect(await attend(larger, k, v, { scale: 0.0625 })).toEqual(await attend(q, k, v, { scale: 0.25 }))
  })

  it('does not mind every key twice, but for ln 2 in the log-sum-exp', async () => {
    const twice = (view: HostTensor): HostTensor => {
      const [batch = 0, heads = 0, length = 0, dim = 0] = view.shape
      const values = toFloat32(view)
      const plane = length * dim
      const repeated = Float32Array.from(
        { length: 2 * values.length },
        (_, i) => values[Math.floor(i / (2 * plane)) * plane + (i % plane)]!,
      )
      return tensor(repeated, [batch, heads, 2 * length, dim])
    }
    const { output, lse } = await attention(q, twice(k), twice(v), { backend: subject().backend, lse: true })
    expectReference(subject(), await valuesOf(subject(), output), q, k, v, {})
    const exact = reference(problem(q, k, v), { backend: subject().platform })
    ;(await valuesOf(subject(), lse!)).forEach((sum, row) => {
      expect(Math.abs(sum - exact.lse[row]! - Math.LN2)).toBeLessThanOrEqual(2 * exact.lseBound[row]!)
    })
    output.dispose()
    lse!.dispose()
  })

  it('scales with the values exactly, by powers of two', async () => {
    const doubled = tensor(
      toFloat32(v).map((element) => 8 * element),
      v.shape,
    )
    expect(await attend(q, k, doubled)).toEqual((await attend(q, k, v)).map((element) => 8 * element))
  })

  it('does not mind a number added to all of a row’s scores', async () => {
    const shift = scoreMod((score, { row }) => score.add(row.toFloat().mul(3)))
    expectReference(subject(), await attend(q, k, v, { score: shift }), q, k, v, {})
  })

  it('rotates so that only differences of positions count', async () => {
    const { backend } = subject()
    const position = rotary({ dim: 16 })
    const at = (start: number): Promise<Float64Array> =>
      outputOf(
        subject(),
        attention(q, k, v, {
          backend,
          position,
          positions: { query: { start, length: 13 }, key: { start: start - 8, length: 21 } },
        }),
      )
    const near = await at(8)
    const far = await at(1000)
    near.forEach((element, index) => expect(far[index]).toBeCloseTo(element, 3))
    expect(await outputOf(subject(), attention(q, k, v, { backend, position }))).toEqual(near)
    const unmoved = await attend(q, k, v)
    expect(near.some((element, index) => Math.abs(element - unmoved[index]!) > 0.1)).toBe(true)
  })

  it('gives queries and keys one context length, where frequencies follow it', async () => {
    const { backend } = subject()
    const position = rotary({ dim: 16, type: 'dynamic', factor: 2, max_position_embeddings: 8 })
    const query = { start: 0, length: 13 }
    const key = { start: 0, length: 21 }
    const actual = await outputOf(subject(), attention(q, k, v, { backend, position, positions: { query } }))
    using turnedQuery = backend.rotate(q, position.table(query, 'query', 21))
    using turnedKey = backend.rotate(k, position.table(key, 'key', 21))
    expect(actual).toEqual(await outputOf(subject(), attention(turnedQuery, turnedKey, v, { backend })))
    using shorter = backend.rotate(q, position.table(query, 'query', 13))
    expect(actual).not.toEqual(await outputOf(subject(), attention(shorter, turnedKey, v, { backend })))
  })

  it('rotates queries of sequences with lengths of their own at their own positions', async () => {
    const { backend } = subject()
    const position = rotary({ dim: 16 })
    const padded = await outputOf(subject(), attention(q, k, v, { backend, position, causal: true, lengths: [21, 16] }))
    const alone = await outputOf(
      subject(),
      attention(slice(q, 0, 1, 2), slice(slice(k, 0, 1, 2), 2, 0, 16), slice(slice(v, 0, 1, 2), 2, 0, 16), {
        backend,
        position,
        causal: true,
      }),
    )
    expect(padded.subarray(padded.length / 2)).toEqual(alone)
  })

  it('adds a score encoding before a score change of the caller’s', async () => {
    const { backend } = subject()
    const position = alibi({ heads: 4 })
    if (position.kind !== 'score' || position.follows !== 'positions') throw new Error('alibi follows positions')
    const score = scoreMod((before) => before.mul(2))
    const both = await outputOf(subject(), attention(q, k, v, { backend, position, score, causal: true }))
    const alone = await outputOf(subject(), attention(q, k, v, { backend, position, causal: true }))
    expectReference(subject(), alone, q, k, v, { score: position.scoreMod, causal: true })
    expectReference(subject(), both, q, k, v, { score: composeScores(position.scoreMod, score), causal: true })
  })

  it('refuses what does not fit, by name, and computes nothing', async () => {
    const { backend } = subject()
    const cases = [
      [() => attention(q, k, v, {} as never), /attention: backend must be a backend/],
      [() => attention(q, slice(k, 3, 0, 8), v, { backend }), /attention: key has head size 8, query has 16/],
      [
        () => attention(q, k, v, { backend, position: [alibi({ heads: 4 }), 'rotary' as never] }),
        /position must be .*; received rotary/,
      ],
      [
        () => attention(q, k, v, { backend, position: sinusoidal({ dim: 16 }) }),
        /position must be rotary or score encodings; received embedding/,
      ],
      [
        () => attention(q, k, v, { backend, position: rotary({ dim: 32 }) }),
        /position must be rotary over at most the head size 16; received one over 32/,
      ],
      [
        () => attention(q, k, v, { backend, position: alibi({ heads: 4 }), positions: { query: [1] } }),
        /positions must be absent where no encoding follows them/,
      ],
      [() => attention(q, k, v, { backend, softcap: NaN }), /softcap must be a positive number; received NaN/],
    ] as const
    for (const [ask, message] of cases) await expect(ask()).rejects.toThrow(message)
  })

  it('stops when it is told to', async () => {
    await expect(attention(q, k, v, { backend: subject().backend, signal: AbortSignal.abort() })).rejects.toThrow(
      expect.objectContaining({ code: 'ABORTED' }),
    )
    const fractions: number[] = []
    const { output } = await attention(q, k, v, { backend: subject().backend, onProgress: (fraction) => fractions.push(fraction) })
    output.dispose()
    expect(fractions.at(-1)).toBe(1)
  })

  it('drops the same weights for the same seed', async () => {
    const dropout = { probability: 0.5, seed: 3 }
    const dropped = await attend(q, k, v, { dropout })
    expectReference(subject(), dropped, q, k, v, { dropout })
    expect(dropped).not.toEqual(await attend(q, k, v, { dropout: { ...dropout, seed: 4 } }))
  })
}

/** A canonical problem's options, as a caller would give them. */
export function optionsOf(problem: AttentionProblem): ProblemOptions {
  const {
    scale,
    softcap,
    causal,
    alignment,
    window,
    bias,
    mask,
    maskMod,
    scoreMod,
    sinks,
    lengths,
    keyScales,
    valueScales,
    dropout,
  } = problem
  return {
    scale,
    window,
    bias,
    sinks,
    lengths,
    keyScales,
    valueScales,
    dropout,
    softcap: softcap === 0 ? undefined : softcap,
    causal: causal && alignment,
    mask: mask ?? maskMod,
    score: scoreMod,
  }
}
