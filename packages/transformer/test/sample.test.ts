import { greedy, sampler } from '@qkv/transformer'
import { describe, expect, test } from 'vitest'

const logits = Float32Array.from([1, 3, 2, 3, -Infinity])
const softmax = (temperature: number): number[] => {
  const weights = Array.from(logits, (logit) => Math.exp(logit / temperature))
  return weights.map((weight) => weight / weights.reduce((sum, other) => sum + other))
}

/** How often each token came in many draws. */
function frequencies(draw: (logits: Float32Array) => number, draws = 20_000): number[] {
  const counts = Array.from(logits, () => 0)
  for (let i = 0; i < draws; i++) counts[draw(logits)]! += 1 / draws
  return counts
}

describe('sampling', () => {
  test('greedy takes the likeliest, the lowest of equals', () => {
    expect(greedy(logits)).toBe(1)
    expect(sampler({ temperature: 0 })(logits)).toBe(1)
  })

  test.each([0.5, 1, 2])('at temperature %s tokens come as often as their softmax says', (temperature) => {
    const seen = frequencies(sampler({ temperature, seed: 7 }))
    // Five standard deviations of a frequency over 20,000 draws.
    softmax(temperature).forEach((probability, token) => {
      expect(Math.abs(seen[token]! - probability)).toBeLessThanOrEqual(5 * Math.sqrt((probability * (1 - probability)) / 20_000))
    })
  })

  test('a token of logit −∞ never comes', () => {
    expect(frequencies(sampler({ temperature: 10 }))[4]).toBe(0)
  })

  test('top-p leaves the fewest tokens that reach it, in their proportions', () => {
    // Tokens 1 and 3 together have 0.789: 0.7 needs both, 0.3 the first alone.
    const both = frequencies(sampler({ topP: 0.7 }))
    expect(both[0]! + both[2]!).toBe(0)
    expect(Math.abs(both[1]! - 0.5)).toBeLessThan(0.02)
    expect(frequencies(sampler({ topP: 0.3 }), 100)[1]).toBeCloseTo(1)
  })

  test('the same seed draws the same, another seed something else', () => {
    const draws = (seed: number): number[] => {
      const draw = sampler({ seed })
      return Array.from({ length: 50 }, () => draw(logits))
    }
    expect(draws(5)).toEqual(draws(5))
    expect(draws(5)).not.toEqual(draws(6))
  })

  test('a tiny temperature does not overflow', () => {
    expect(sampler({ temperature: 1e-300 })([0, 5, 1])).toBe(1)
  })

  test.each([
    ['temperature', -1],
    ['temperature', NaN],
    ['topP', 0],
    ['topP', 1.1],
    ['topP', NaN],
    ['seed', 0.5],
    ['seed', 2 ** 32],
  ])('%s = %s is refused', (argument, value) => {
    expect(() => sampler({ [argument]: value })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', argument }))
  })

  test('logits that are no numbers are refused, not drawn from', () => {
    expect(() => greedy([0, NaN])).toThrow(expect.objectContaining({ code: 'NON_FINITE', argument: 'logits[1]' }))
    expect(() => sampler()([Infinity, 0])).toThrow(expect.objectContaining({ code: 'NON_FINITE' }))
  })
})
