import { describe, expect, it } from 'vitest'
import { compare, drawTokens, expectWithinBound, randomProblem, tally, type Limits } from '@qkv/testing'
import {
  isHostTensor,
  reference,
  referenceGradient,
  tensor,
  toFloat64,
  type AttentionProblem,
  type Bounded,
  type HostTensor,
} from '@qkv/core'
import { float32Gradient, type Float32Gradient, type GradientDefect } from './float32-gradient-kernel.ts'

const limits: Limits = { work: 2 ** 13, headDim: 32, including: ['dropout'], without: ['poison'] }

/** `[batch, heads, rows, keys, dim]` as the token's numbers have it, for readable failures. */
function names(problem: AttentionProblem, exact: ReturnType<typeof referenceGradient>, actual: Float32Gradient) {
  const { query, key, value } = problem
  const captured = [...exact.captured].map(([held, bounded], index) => ({
    name: `captured ${index}`,
    bounded,
    actual: actual.captured.get(held),
    shape: held.shape,
  }))
  return [
    { name: 'dQuery', bounded: exact.dQuery, actual: actual.dQuery, shape: query.shape },
    { name: 'dKey', bounded: exact.dKey, actual: actual.dKey, shape: key.shape },
    { name: 'dValue', bounded: exact.dValue, actual: actual.dValue, shape: value.shape },
    { name: 'dBias', bounded: exact.dBias, actual: actual.dBias, shape: [exact.dBias?.values.length ?? 0] },
    { name: 'dSinks', bounded: exact.dSinks, actual: actual.dSinks, shape: [problem.queryHeads] },
    ...captured,
  ].flatMap(({ bounded, actual, ...rest }) => (bounded && actual ? [{ ...rest, bounded, actual }] : []))
}

describe('the reference gradient', () => {
  const smooth: Limits = {
    ...limits,
    work: 2 ** 11,
    queryLength: 7,
    keyLength: 9,
    headDim: 4,
    heads: 4,
    batch: 2,
    dtypes: ['float32'],
    without: ['poison', 'layout'],
  }

  it('agrees with central differences of the reference, in every tensor that has a gradient', () => {
    const tokens = drawTokens({ count: 400, seed: 5, limits: smooth }).filter((token) => /\|(normal|small)\|/.test(token))
    let compared = 0
    for (const token of tokens) {
      const { problem, dOutput } = randomProblem(token)
      const exact = referenceGradient(problem, dOutput)
      const weights = toFloat64(dOutput)
      const loss = (): number => reference(problem).output.reduce((sum, o, index) => sum + o * (weights[index] ?? 0), 0)
      const check = (name: string, view: AttentionProblem['bias'], { values }: Bounded): void => {
        if (view === undefined || !isHostTensor(view)) return
        forSomeElements(view, values.length, (element, index) => {
          const numeric = centralDifference(view, element, loss)
          if (!Number.isFinite(numeric)) return
          const analytic = values[index] ?? NaN
          expect(Math.abs(numeric - analytic), `${name}[${index}]: ${numeric} and ${analytic}\n${token}`).toBeLessThanOrEqual(
            1e-5 + 1e-3 * Math.abs(analytic),
          )
          compared++
        })
      }
      check('dQuery', problem.query, exact.dQuery)
      check('dKey', problem.key, exact.dKey)
      check('dValue', problem.value, exact.dValue)
      if (exact.dBias) check('dBias', unbroadcast(problem.bias), exact.dBias)
      if (exact.dSinks) check('dSinks', problem.sinks, exact.dSinks)
      exact.captured.forEach((bounded, held) => check('captured', held, bounded))
    }
    expect(compared).toBeGreaterThan(2000)
  })

  it('leaves the sum of each softmax: the gradients of a row’s scores, sink included, sum to 0', () => {
    for (const token of drawTokens({
      count: 200,
      seed: 6,
      limits: { ...smooth, without: ['poison', 'score', 'softcap', 'sinks', 'bias'] },
    })) {
      const { problem, dOutput } = randomProblem(token)
      const { batch, queryHeads, queryLength, keyLength } = problem
      const bias = tensor(new Float32Array(batch * queryHeads * queryLength * keyLength), [
        batch,
        queryHeads,
        queryLength,
        keyLength,
      ])
      const { dBias } = referenceGradient({ ...problem, bias }, dOutput)
      for (let row = 0; row < batch * queryHeads * queryLength; row++) {
        const scores = Array.from(dBias?.values.subarray(row * keyLength, (row + 1) * keyLength) ?? [])
        expect(Math.abs(scores.reduce((sum, score) => sum + score, 0))).toBeLessThan(
          1e-9 * (1 + scores.reduce((sum, score) => sum + Math.abs(score), 0)),
        )
      }
    }
  })

  it('gives the values all of the output’s gradient where every row sees a key: Σ_j dV_j = Σ_i dO_i', () => {
    const without = ['poison', 'sinks', 'mask', 'maskMod', 'lengths', 'causal', 'window', 'bias', 'score', 'dropout'] as const
    for (const token of drawTokens({ count: 100, seed: 7, limits: { ...smooth, including: [], without } })) {
      const { problem, dOutput } = randomProblem(token)
      if (problem.keyLength === 0) continue
      const sumOver = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0)
      expect(sumOver(referenceGradient(problem, dOutput).dValue.values)).toBeCloseTo(sumOver(toFloat64(dOutput)), 8)
    }
  })

  it('bounds a correct float32 backward kernel', () => {
    const agreements = tally('gradients')
    for (const token of drawTokens({ count: 500, seed: 8, limits })) {
      const { problem, dOutput } = randomProblem(token)
      const actual = float32Gradient(problem, dOutput)
      for (const { name, bounded, actual: values, shape } of names(problem, referenceGradient(problem, dOutput), actual)) {
        agreements.add(expectWithinBound(values, bounded, { name, shape, token }), token)
      }
    }
    agreements.expectTrusted(0.4)
    expect(agreements.worstRatio).toBeGreaterThan(0.1)
  })

  const defects: readonly { defect: GradientDefect; concerns?: string; leastShare?: number }[] = [
    { defect: 'delta forgotten' },
    { defect: 'delta without dropout', concerns: 'dropout', leastShare: 0.2 },
    { defect: 'weights in bfloat16' },
    { defect: 'scale forgotten' },
    { defect: 'softcap slope forgotten', concerns: 'softcap', leastShare: 0.1 },
    { defect: 'softcap slope of the score', concerns: 'softcap' },
    { defect: 'score slope forgotten', concerns: 'score=', leastShare: 0.1 },
    { defect: 'only one head of the group', leastShare: 0.15 },
    { defect: 'last key is skipped', leastShare: 0.2 },
    { defect: 'first row is skipped', leastShare: 0.2 },
    { defect: 'dropout forgotten in dV', concerns: 'dropout', leastShare: 0.2 },
    { defect: 'sink without its minus', concerns: 'sinks', leastShare: 0.2 },
    { defect: 'exp off by 1e-5', leastShare: 0.2 },
  ]
  const problems = drawTokens({ count: 500, seed: 9, limits: { ...limits, dtypes: ['float32'] } }).map(randomProblem)
  const exactly = new Map<AttentionProblem, ReturnType<typeof referenceGradient>>()
  const exact = (problem: AttentionProblem, dOutput: HostTensor) => {
    const known = exactly.get(problem) ?? referenceGradient(problem, dOutput)
    exactly.set(problem, known)
    return known
  }

  it.each(defects)('sees a backward kernel with this defect: $defect', ({ defect, concerns, leastShare = 0.3 }) => {
    const concerned = problems
      .filter(({ token }) => concerns === undefined || token.includes(concerns))
      .slice(0, concerns ? 50 : 100)
    const seen = concerned.filter(({ problem, dOutput }) => {
      const compared = names(problem, exact(problem, dOutput), float32Gradient(problem, dOutput, defect))
      return compared.some(({ actual, bounded }) => compare(actual, bounded).worstRatio > 1)
    })
    expect(seen.length).toBeGreaterThanOrEqual(Math.max(1, leastShare * concerned.length))
  })
})

/** The bias with size 1 wherever it is broadcast, as its gradient has it. */
function unbroadcast(bias: AttentionProblem['bias']): AttentionProblem['bias'] {
  return bias && { ...bias, shape: bias.shape.map((size, axis) => (bias.strides[axis] === 0 ? 1 : size)) }
}

/** Visits up to seven elements, spread over the tensor, with their row-major number. */
function forSomeElements(
  { shape, strides, offset }: HostTensor,
  count: number,
  visit: (element: number, index: number) => void,
): void {
  for (let index = 0; index < count; index += Math.max(1, Math.ceil(count / 7))) {
    let rest = index
    const element = shape.reduceRight((at, size, axis) => {
      const own = rest % size
      rest = Math.floor(rest / size)
      return at + own * (strides[axis] ?? 0)
    }, offset)
    visit(element, index)
  }
}

/** Through float32 storage: by the step that the element really takes. */
function centralDifference({ storage }: HostTensor, element: number, loss: () => number): number {
  const value = storage[element] ?? 0
  const evaluate = (step: number): { at: number; loss: number } => {
    storage[element] = value + step
    const result = { at: storage[element] ?? NaN, loss: loss() }
    storage[element] = value
    return result
  }
  const step = 2 ** -10 * Math.max(0.1, Math.abs(value))
  const after = evaluate(step)
  const before = evaluate(-step)
  return (after.loss - before.loss) / (after.at - before.at)
}
