import { referenceGradient, tensor, type Backend, type Bounded, type OwnedTensor } from '@qkv/core'
import { describe, expect, test } from 'vitest'
import { drawTokens, type Limits } from '../draw-token.ts'
import { randomProblem, type RandomProblem } from '../problems.ts'
import { random } from '../random.ts'
import { expectWithinBound, tally, type Tally } from '../within-bound.ts'
import { poisoned } from './properties/problem-parts.ts'
import { disposeGradient, heldBackend, problemCount, replayedToken, take, type Suite } from './suite.ts'

/** Gradients on a backend against the float64 reference's, over random problems with every option that has one. */
export function gradientSuite(suite: Suite): void {
  describe('attentionGradient', { timeout: 600_000 }, () => {
    const backend = heldBackend(suite)
    const { platform = 'cpu', limits } = suite
    const drawn: Limits = { anyDim: true, including: ['dropout'], work: 2 ** 13, ...limits }

    async function checkProblems(
      tokens: readonly string[],
      change: (random: RandomProblem) => RandomProblem = (random) => random,
    ): Promise<readonly Tally[]> {
      const tallies = new Map<string, Tally>()
      for (const token of tokens) {
        const random = change(randomProblem(token))
        const expected = referenceGradient(random.problem, random.dOutput, { backend: platform })
        for (const { name, actual, bounded } of pairUp(gradientOf(backend(), random), expected)) {
          const comparison = { name, shape: actual.shape, token, backend: platform }
          const agreement = expectWithinBound(await take(backend(), actual), bounded, comparison)
          const results = tallies.get(name) ?? tally(name)
          tallies.set(name, results)
          results.add(agreement, token)
        }
        random.expectUntouched()
      }
      for (const results of tallies.values()) console.log(results.summary())
      return [...tallies.values()]
    }

    const replayed = replayedToken('attention|')
    test.runIf(replayed !== undefined)('the problem of QKV_TOKEN is within its bound', async () => {
      await checkProblems([replayed!])
    })

    test('small problems, at the boundaries of tiles and between, are within their bounds', async () => {
      expectTrusted(await checkProblems(drawTokens({ count: problemCount(suite, 2000), seed: 3, limits: drawn })))
    })

    test('problems whose biases and score expressions learn are within their bounds', async () => {
      const learning: Limits = { ...drawn, likely: ['bias', 'score'] }
      expectTrusted(await checkProblems(drawTokens({ count: problemCount(suite, 1350), seed: 7, limits: learning })))
    })

    test('problems of many tiles are within their bounds', async () => {
      await checkProblems(drawTokens({ count: problemCount(suite, 30), seed: 4, limits: { ...drawn, work: 2 ** 18 } }))
    })

    // WGSL promises nothing of what is not finite.
    test.runIf(platform === 'cpu')('a query or output gradient that is NaN poisons just the keys that its row sees', async () => {
      // Of equal weights none is too small to matter.
      const without = ['scale', 'softcap', 'bias', 'score'] as const
      const tokens = drawTokens({ count: problemCount(suite, 150), seed: 6, limits: { ...drawn, including: [], without } })
      await checkProblems(tokens, (given) => {
        const stream = random(given.spec.seed, 'poison')
        const query = stream.chance(0.5) ? poisoned(given.problem.query, stream, [NaN]) : given.problem.query
        const dOutput = poisoned(given.dOutput, stream, [NaN])
        return { ...given, problem: { ...given.problem, scale: 0, query }, dOutput }
      })
    })

    test('a sink of −∞ is none: its gradient is 0, and that of all else as if it were not there', async () => {
      const given = randomProblem('attention|float32/float32|b1 h2/1 q7 k5 d4 v4|normal|plain|causal=lower-right|1')
      const sinks = tensor([-Infinity, -Infinity], [2])
      const without = await bitsOf(backend(), given)
      const bits = await bitsOf(backend(), { ...given, problem: { ...given.problem, sinks } })
      expect(bits).toEqual([...without, new Float32Array(2)])
    })

    test('the same call gives the same bits', async () => {
      for (const token of drawTokens({ count: problemCount(suite, 20), seed: 5, limits: drawn })) {
        const random = randomProblem(token)
        const [first, second] = [await bitsOf(backend(), random), await bitsOf(backend(), random)]
        expect(second, token).toEqual(first)
      }
    })
  })
}

/**
 * Where weights are certain, what queries, keys and scores get is a small difference of large numbers, of which a bound can
 * say little. Of few problems all may be such.
 */
function expectTrusted(tallies: readonly Tally[]): void {
  for (const results of tallies) if (results.problems > 100) results.expectTrusted(0.5)
}

function gradientOf(backend: Backend, { problem, dOutput }: RandomProblem) {
  const { output, lse } = backend.attention(problem, { lse: true })
  const gradient = backend.attentionGradient(problem, { output, lse: lse! }, dOutput)
  output.dispose()
  lse?.dispose()
  return gradient
}

type Gradient = ReturnType<typeof gradientOf>

interface Part {
  readonly name: string
  readonly actual: OwnedTensor
  readonly bounded: Bounded
}

/** Each part of a gradient beside what it should be. */
function pairUp(gradient: Gradient, expected: ReturnType<typeof referenceGradient>): readonly Part[] {
  const parts: Part[] = []
  for (const name of ['dQuery', 'dKey', 'dValue', 'dBias', 'dSinks'] as const) {
    const [actual, bounded] = [gradient[name], expected[name]]
    expect(actual === undefined, `${name} is there exactly where it should be`).toBe(bounded === undefined)
    if (actual && bounded) parts.push({ name, actual, bounded })
  }
  expect([...gradient.captured.keys()]).toEqual([...expected.captured.keys()])
  for (const [tensor, bounded] of expected.captured)
    parts.push({ name: 'captured', actual: gradient.captured.get(tensor)!, bounded })
  return parts
}

async function bitsOf(backend: Backend, random: RandomProblem) {
  const gradient = gradientOf(backend, random)
  const { dQuery, dKey, dValue, dBias, dSinks, captured } = gradient
  const parts = [dQuery, dKey, dValue, dBias, dSinks, ...captured.values()].filter((part) => part !== undefined)
  const bits = await Promise.all(parts.map((part) => backend.read(part)))
  disposeGradient(gradient)
  return bits
}
