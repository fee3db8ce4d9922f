import { describe, expect, it } from 'vitest'
import { compare, drawTokens, expectWithinBound, randomProblem, tally, type Limits } from '@qkv/testing'
import { reference, type AttentionProblem, type Reference } from '@qkv/core'
import { float32Kernel, type Defect, type KernelOptions } from './float32-kernel.ts'

const limits: Limits = { work: 2 ** 14, headDim: 64, including: ['quantised', 'dropout'] }

const kernels: readonly KernelOptions[] = [
  { tile: 16 },
  { tile: 1 },
  { tile: 1024 },
  { tile: 32, splits: 5 },
  { tile: 16, base2: true },
]

function shapes({ batch, queryHeads, queryLength, valueDim }: AttentionProblem) {
  return { output: [batch, queryHeads, queryLength, valueDim], lse: [batch, queryHeads, queryLength] }
}

describe('the error bound', () => {
  it('holds for correct float32 kernels of any tile, split and base, over everything a problem may be', () => {
    const outputs = tally('output')
    const lses = tally('lse')
    drawTokens({ count: 600, seed: 1, limits }).forEach((token, index) => {
      const { problem } = randomProblem(token)
      const exact = reference(problem)
      const { output, lse } = float32Kernel(problem, kernels[index % kernels.length])
      const shape = shapes(problem)
      outputs.add(
        expectWithinBound(output, { values: exact.output, bound: exact.bound }, { name: 'output', shape: shape.output, token }),
        token,
      )
      lses.add(
        expectWithinBound(lse, { values: exact.lse, bound: exact.lseBound }, { name: 'lse', shape: shape.lse, token }),
        token,
      )
    })
    outputs.expectTrusted(0.25)
    // So loose a bound that nothing comes near it would say little.
    expect(outputs.worstRatio).toBeGreaterThan(0.3)
  })

  const defects: readonly {
    defect: Defect
    kernel?: KernelOptions
    limits?: Partial<Limits>
    concerns?: string
    leastShare?: number
  }[] = [
    { defect: 'maximum starts at zero', leastShare: 0.02 },
    { defect: 'sum is not rescaled', leastShare: 0.05 },
    { defect: 'output is not rescaled', leastShare: 0.05 },
    { defect: 'last key is skipped' },
    { defect: 'first key of a tile is counted twice' },
    { defect: 'weights in bfloat16' },
    { defect: 'weights in float16' },
    { defect: 'exp off by 1e-5' },
    { defect: 'exp clamped at -20', leastShare: 0.005 },
    { defect: 'reciprocal of 12 bits' },
    { defect: 'scores in float16' },
    { defect: 'softcap forgotten', concerns: 'softcap' },
    { defect: 'bias forgotten', concerns: 'bias' },
    { defect: 'bias added before softcap', concerns: 'softcap', leastShare: 0.02 },
    { defect: 'sink forgotten', concerns: 'sinks' },
    { defect: 'window one too wide', concerns: 'window', leastShare: 0.2 },
    { defect: 'causal one too far', concerns: 'causal', leastShare: 0.2 },
    { defect: 'wrong key head', leastShare: 0.03 },
    { defect: 'lengths forgotten', concerns: 'lengths' },
    { defect: 'log of base 2 kept', kernel: { base2: true } },
    { defect: 'scales of the wrong group', concerns: 'quantised', leastShare: 0.2 },
    { defect: 'nibbles swapped', concerns: 'quantised', leastShare: 0.15 },
    { defect: 'dropout before the sum', concerns: 'dropout' },
    { defect: 'dropout not scaled up', concerns: 'dropout' },
    { defect: 'dropout by position', concerns: 'dropout', leastShare: 0.2 },
  ]

  const tokens = drawTokens({ count: 800, seed: 2, limits: { ...limits, work: 2 ** 13, dtypes: ['float32'] } })
  const problems = tokens.map((token) => ({ token, problem: randomProblem(token).problem }))
  const exactly = new Map<AttentionProblem, Reference>()
  const exact = (problem: AttentionProblem): Reference => {
    const known = exactly.get(problem) ?? reference(problem)
    exactly.set(problem, known)
    return known
  }

  it.each(defects)('sees a kernel with this defect: $defect', ({ defect, kernel, concerns, leastShare = 0.3 }) => {
    const concerned = problems
      .filter(({ token }) => concerns === undefined || token.includes(concerns))
      .slice(0, concerns ? 60 : 120)
    const seen = concerned.filter(({ problem }) => {
      const expected = exact(problem)
      const { output, lse } = float32Kernel(problem, { ...kernel, defect })
      const worst = (actual: ArrayLike<number>, values: Float64Array, bound: Float64Array): number =>
        compare(actual, { values, bound }).worstRatio
      return worst(output, expected.output, expected.bound) > 1 || worst(lse, expected.lse, expected.lseBound) > 1
    })
    expect(seen.length).toBeGreaterThanOrEqual(leastShare * concerned.length)
    expect(seen.length).toBeGreaterThan(0)
  })
})
