import { describe, expect, it } from 'vitest'
import { drawTokens, randomProblem } from '@qkv/testing'
import {
  maskMod,
  problem,
  reference,
  referenceGradient,
  tensor,
  toFloat64,
  zeros,
  type HostTensor,
  type ProblemOptions,
} from '@qkv/core'

/** One head; every key is alike, so that the output is the mean of the values that are seen. */
function means(queries: number, keys: number, options: ProblemOptions = {}): number[] {
  const values = tensor(
    Float32Array.from({ length: keys }, (_, key) => 2 ** key),
    [1, 1, keys, 1],
  )
  return [...reference(problem(zeros([1, 1, queries, 2]), zeros([1, 1, keys, 2]), values, options)).output].map(toTwelveDigits)
}

const meanOf = (...keys: number[]): number => toTwelveDigits(keys.reduce((sum, key) => sum + 2 ** key, 0) / keys.length)

function toTwelveDigits(value: number): number {
  return Number(value.toPrecision(12))
}

describe('attention, as the reference has it', () => {
  it('is softmax(scale · q·k) times the values', () => {
    const q = tensor([1, 0], [1, 1, 1, 2])
    const k = tensor([1, 0, 0, 1, 2, 2], [1, 1, 3, 2])
    const v = tensor([1, 10, 100], [1, 1, 3, 1])
    const exponentials = [1, 0, 2].map((dot) => Math.exp(0.5 * dot))
    const total = exponentials.reduce((a, b) => a + b)
    const { output, lse, weights } = reference(problem(q, k, v, { scale: 0.5 }), { weights: true })
    expect(output[0]).toBeCloseTo((exponentials[0]! + 10 * exponentials[1]! + 100 * exponentials[2]!) / total, 12)
    expect(lse[0]).toBeCloseTo(Math.log(total), 12)
    exponentials.forEach((exponential, key) => expect(weights?.[key]).toBeCloseTo(exponential / total, 12))
  })

  it('aligns the last query with the last key, or the first with the first', () => {
    expect(means(2, 3, { causal: true })).toEqual([meanOf(0, 1), meanOf(0, 1, 2)])
    expect(means(2, 3, { causal: 'upper-left' })).toEqual([meanOf(0), meanOf(0, 1)])
    expect(means(3, 2, { causal: true })).toEqual([0, meanOf(0), meanOf(0, 1)])
  })

  it('counts a window from the query’s own position, inclusive of it', () => {
    expect(means(4, 4, { window: { left: 1, right: 0 } })).toEqual([meanOf(0), meanOf(0, 1), meanOf(1, 2), meanOf(2, 3)])
    expect(means(2, 4, { window: { left: 0, right: 1 } })).toEqual([meanOf(2, 3), meanOf(3)])
    expect(means(1, 4, { window: { right: 0 } })).toEqual([meanOf(0, 1, 2, 3)])
  })

  it('takes positions from the valid keys', () => {
    expect(means(2, 4, { lengths: [3], causal: true })).toEqual([meanOf(0, 1), meanOf(0, 1, 2)])
  })

  it('returns zero for a row that sees no key, with an lse of −∞ or the sink’s logit', () => {
    const nothing = maskMod(({ key }) => key.lt(0))
    const { output, lse } = reference(problem(zeros([1, 2, 1, 2]), zeros([1, 2, 3, 2]), zeros([1, 2, 3, 2]), { mask: nothing }))
    expect([...output, ...lse]).toEqual([0, 0, 0, 0, -Infinity, -Infinity])
    const sunk = reference(
      problem(zeros([1, 2, 1, 2]), zeros([1, 2, 3, 2]), zeros([1, 2, 3, 2]), { mask: nothing, sinks: [1, -Infinity] }),
    )
    expect([...sunk.output, ...sunk.lse]).toEqual([0, 0, 0, 0, 1, -Infinity])
  })

  it('lets a sink take its share of every softmax', () => {
    expect(means(1, 2, { sinks: [0] })[0]).toBeCloseTo((1 + 2) / 3, 12)
  })

  it('caps scores before the bias, and the bias may hide a key', () => {
    const [q, k, v] = [tensor([10], [1, 1, 1, 1]), tensor([1, 0, 5], [1, 1, 3, 1]), tensor([1, 2, NaN], [1, 1, 3, 1])]
    const [first, second] = [2 * Math.tanh(10 / 2) + 1, 0]
    const { output } = reference(problem(q, k, v, { softcap: 2, bias: tensor([1, 0, -Infinity], [3]) }))
    expect(output[0]).toBeCloseTo((Math.exp(first) + 2 * Math.exp(second)) / (Math.exp(first) + Math.exp(second)), 12)
  })

  it('reads key head floor(h / group), and values of another size', () => {
    const keys = tensor([1, 2, 3, 4, 5, 6], [1, 2, 1, 3])
    expect([...reference(problem(zeros([1, 4, 1, 2]), zeros([1, 2, 1, 2]), keys)).output]).toEqual([
      1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6,
    ])
  })

  it('decodes 8 and 4 bits by the scale of their group', () => {
    const value8 = tensor(new Int8Array([-128, 127, 3, 4]), [1, 1, 1, 4])
    const q = zeros([1, 1, 1, 4])
    const one = (key: HostTensor, value: HostTensor, keyScales: HostTensor, valueScales: HostTensor): number[] => [
      ...reference(problem(q, key, value, { keyScales, valueScales })).output,
    ]
    expect(one(zeros([1, 1, 1, 4], 'int8'), value8, zeros([1, 1, 1, 1]), tensor([0.5, 2], [1, 1, 1, 2]))).toEqual([-64, 63.5, 6, 8])
    // Even elements in the low bits: 0x0f holds 15 and 0.
    const value4 = tensor(new Uint8Array([0x0f, 0x98]), [1, 1, 1, 2])
    expect(one(zeros([1, 1, 1, 2], 'uint8'), value4, zeros([1, 1, 1, 1]), tensor([1], [1, 1, 1, 1]))).toEqual([7, -8, 0, 1])
  })

  it('drops weights after they are normalised, and scales the others up', () => {
    const { weights } = reference(problem(zeros([1, 1, 1, 1]), zeros([1, 1, 400, 1]), zeros([1, 1, 400, 1])), { weights: true })
    expect(weights?.[7]).toBeCloseTo(1 / 400, 12)
    const ones = tensor(new Float32Array(400).fill(1), [1, 1, 400, 1])
    const { output, lse } = reference(
      problem(zeros([1, 1, 1, 1]), zeros([1, 1, 400, 1]), ones, { dropout: { probability: 0.5, seed: 1 } }),
    )
    expect(Math.abs(output[0]! - 1)).toBeLessThan(0.2)
    expect(output[0]! * 200).toBeCloseTo(Math.round(output[0]! * 200), 9)
    expect(lse[0]).toBeCloseTo(Math.log(400), 12)
  })

  it('is empty where there is nothing to compute', () => {
    for (const [b, n, m] of [
      [0, 2, 3],
      [1, 0, 3],
      [1, 2, 0],
    ] as const) {
      const asked = problem(zeros([b, 1, n, 2]), zeros([b, 1, m, 2]), zeros([b, 1, m, 2]))
      expect([...reference(asked).output]).toEqual(new Array(b * n * 2).fill(0))
      expect(referenceGradient(asked, zeros([b, 1, n, 2])).dKey.values).toHaveLength(b * m * 2)
    }
  })

  it('never uses what is masked: NaN there reaches neither output nor gradient', () => {
    for (const token of drawTokens({ count: 150, seed: 12, limits: { work: 2 ** 11 } })) {
      const { problem: poisoned, dOutput } = randomProblem(token)
      expect(reference(poisoned).output.some(Number.isNaN), token).toBe(false)
      const { dQuery, dKey, dValue } = referenceGradient(poisoned, dOutput)
      expect(
        [dQuery, dKey, dValue].some(({ values }) => values.some(Number.isNaN)),
        token,
      ).toBe(false)
    }
  })

  it('shifts its lse, and nothing else, with a score added to a whole row', () => {
    const bias = tensor([3.5], [1])
    for (const token of drawTokens({
      count: 50,
      seed: 13,
      limits: { work: 2 ** 11, without: ['bias', 'score', 'sinks', 'poison'] },
    })) {
      const { problem: plain } = randomProblem(token)
      const shifted = { ...plain, bias: { ...bias, shape: [1, 1, 1, 1], strides: [0, 0, 0, 0] } }
      const [before, after] = [reference(plain), reference(shifted)]
      after.output.forEach((value, index) =>
        expect(Math.abs(value - before.output[index]!)).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(value))),
      )
      after.lse.forEach((value, index) =>
        expect(value === -Infinity || Math.abs(value - before.lse[index]! - 3.5) <= 1e-9 * (1 + Math.abs(value))).toBe(true),
      )
    }
  })

  it.each([
    [
      'a backend’s tensor',
      () =>
        reference({
          ...problem(zeros([1, 1, 1, 1]), zeros([1, 1, 1, 1]), zeros([1, 1, 1, 1])),
          query: { ...zeros([1, 1, 1, 1]), storage: { owner: Symbol(), byteLength: 4 } },
        }),
      'OPTION_INVALID',
      /reference: query must be a tensor in host memory/,
    ],
    [
      'a gradient of another shape',
      () => referenceGradient(problem(zeros([1, 1, 2, 1]), zeros([1, 1, 1, 1]), zeros([1, 1, 1, 1])), zeros([1, 1, 1, 1])),
      'SHAPE_MISMATCH',
      /dOutput must be \[1,1,2,1\], as the output is; received \[1,1,1,1\]/,
    ],
    [
      'an integer gradient',
      () => referenceGradient(problem(zeros([1, 1, 1, 1]), zeros([1, 1, 1, 1]), zeros([1, 1, 1, 1])), zeros([1, 1, 1, 1], 'int8')),
      'DTYPE_UNSUPPORTED',
      /dOutput must be of a float dtype/,
    ],
    [
      'the gradient of quantised keys',
      () => {
        const scales = zeros([1, 1, 1, 1])
        const quantised = zeros([1, 1, 1, 1], 'int8')
        referenceGradient(
          problem(zeros([1, 1, 1, 1]), quantised, quantised, { keyScales: scales, valueScales: scales }),
          zeros([1, 1, 1, 1]),
        )
      },
      'DTYPE_UNSUPPORTED',
      /key must be of a float dtype, as quantised keys have no gradient; received int8/,
    ],
  ])('refuses %s', (_, attempt, code, message) => {
    expect(attempt).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })

  it('keeps its inputs as they are', () => {
    const { problem: asked, dOutput, expectUntouched } = randomProblem(drawTokens({ count: 1, seed: 3 })[0]!)
    reference(asked)
    referenceGradient(asked, dOutput)
    expectUntouched()
    expect(toFloat64(dOutput).every(Number.isFinite)).toBe(true)
  })
})
