import { tensor } from '@qkv/core'
import { inspect } from '@qkv/attention'
import { describe, expect, it } from 'vitest'
import { normal } from './claims/subject.ts'

/** A map in which row i looks at `keysOf(i)` alike, or at itself where there are none. */
function mapOf(length: number, keysOf: (row: number) => number[]): Float32Array[] {
  return Array.from({ length }, (_, row) => {
    const keys = keysOf(row).filter((key) => key >= 0 && key < length)
    const looked = keys.length > 0 ? keys : [row]
    return Float32Array.from({ length }, (_, key) => (looked.includes(key) ? 1 / looked.length : 0))
  })
}

describe('inspect.headRoles', () => {
  const tokens = inspect.repeatedTokens({ vocabulary: 10_000, length: 12, seed: 1 })
  const length = tokens.length
  const heads = [
    mapOf(length, (row) => [row - 1]),
    mapOf(length, () => [0]),
    mapOf(length, (row) => [row - 12]),
    mapOf(length, (row) => [row - 11].filter(() => row >= 12)),
    mapOf(length, (row) => [...Array(row + 1).keys()]),
  ]
  const [layer] = inspect.headRoles([heads], tokens)

  it('tells a previous-token head, a first-token head, a duplicate-token head and an induction head', () => {
    expect(layer!.map(({ previousToken }) => previousToken > 0.9)).toEqual([true, false, false, false, false])
    expect(layer!.map(({ firstToken }) => firstToken > 0.9)).toEqual([false, true, false, false, false])
    expect(layer!.map(({ duplicateToken }) => duplicateToken > 0.9)).toEqual([false, false, true, false, false])
    expect(layer!.map(({ induction }) => induction > 0.9)).toEqual([false, false, false, true, false])
  })

  it('gives an even head what it gives', () => {
    const mean = (numbers: number[]): number => numbers.reduce((sum, number) => sum + number, 0) / numbers.length
    const rows = Array.from({ length: length - 2 }, (_, index) => 1 / (index + 3))
    expect(layer![4]!.previousToken).toBeCloseTo(mean(rows), 6)
    expect(layer![4]!.induction).toBeCloseTo(mean(rows.slice(10)), 6)
  })

  it('repeats random tokens, the same for the same seed', () => {
    expect(tokens.slice(12)).toEqual(tokens.slice(0, 12))
    expect(new Set(tokens).size).toBe(12)
    expect(inspect.repeatedTokens({ vocabulary: 10_000, length: 12, seed: 1 })).toEqual(tokens)
    expect(inspect.repeatedTokens({ vocabulary: 10_000, length: 12, seed: 2 })).not.toEqual(tokens)
    expect(Math.max(...inspect.repeatedTokens({ vocabulary: 3, length: 300 }))).toBe(2)
  })

  it('refuses maps of another text', () => {
    expect(() => inspect.headRoles([heads], [1, 2])).toThrow('inspect.headRoles: maps[0][0] must be [2]; received [24]')
  })
})

describe('inspect.entropy', () => {
  it('is ln n where n keys are alike, and 0 where there is one', () => {
    const query = tensor(new Float32Array(4 * 3), [1, 1, 4, 3])
    const [rows] = inspect.entropy(query, query, { causal: true })
    expect([...rows!].map((nats) => Math.exp(nats))).toEqual([1, 2, 3, 4].map((n) => expect.closeTo(n, 10)))
  })

  it('counts a learned sink as one more place to look at', () => {
    const query = tensor(new Float32Array(4 * 3), [1, 1, 4, 3])
    const [rows] = inspect.entropy(query, query, { causal: true, sinks: [0] })
    expect(Math.exp(rows![3]!)).toBeCloseTo(5, 10)
  })
})

describe('inspect.sinkMass', () => {
  it('is what the first key and the sink take', () => {
    const query = tensor(new Float32Array(2 * 4 * 3), [1, 2, 4, 3])
    const [head, other] = inspect.sinkMass(query, query, { causal: true, sinks: [-Infinity, 0] })
    expect(head!.firstKey).toBeCloseTo((1 / 2 + 1 / 3 + 1 / 4) / 3, 10)
    expect(head!.sink).toBe(0)
    expect(other!.sink).toBeCloseTo((1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4, 10)
  })
})

describe('inspect.distanceProfile', () => {
  it('is the mean weight at each distance, over the rows that reach so far', () => {
    const query = tensor(new Float32Array(4 * 3), [1, 1, 4, 3])
    const [profile] = inspect.distanceProfile(query, query, { causal: true })
    const means = [(1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, (1 / 2 + 1 / 3 + 1 / 4) / 3, (1 / 3 + 1 / 4) / 2, 1 / 4]
    expect([...profile!]).toEqual(means.map((mean) => expect.closeTo(mean, 10)))
  })

  it('is nothing beyond a window', () => {
    const query = normal('profile', [1, 1, 9, 3])
    const [profile] = inspect.distanceProfile(query, query, { causal: true, window: { left: 2 } })
    expect([...profile!].map((mean) => mean > 0)).toEqual([true, true, true, ...new Array(6).fill(false)])
  })
})

describe('inspect.alignment', () => {
  it('tells a head that points at its source from one that does not', () => {
    const sources = [[2], [0, 1], [], [3]]
    const pointing = mapOf(4, (row) => [[2], [1], [0], [3]][row]!)
    const blind = mapOf(4, () => [3])
    expect(inspect.alignment([pointing, blind], sources)).toEqual([
      { accuracy: 1, mass: 1 },
      { accuracy: 1 / 3, mass: 1 / 3 },
    ])
  })
})

describe('inspect.rollout and inspect.flow', () => {
  const even = mapOf(3, (row) => [...Array(row + 1).keys()])

  it('through one layer is half the map and half the token itself', () => {
    const expected = [
      [1, 0, 0],
      [1 / 4, 3 / 4, 0],
      [1 / 6, 1 / 6, 4 / 6],
    ]
    expect(inspect.rollout([[even]]).map((row) => [...row])).toEqual(
      expected.map((row) => row.map((share) => expect.closeTo(share, 6))),
    )
    expect(inspect.flow([[even]], [0, 1, 2]).map((row) => [...row])).toEqual(
      expected.map((row) => row.map((share) => expect.closeTo(share, 6))),
    )
  })

  it('rollout through two layers is their product, and its rows sum to one', () => {
    const once = inspect.rollout([[even]])
    const twice = inspect.rollout([[even], [even]])
    const product = once[2]!.map((_, input) => once[2]!.reduce((sum, weight, key) => sum + weight * once[key]![input]!, 0))
    expect([...twice[2]!]).toEqual([...product].map((share) => expect.closeTo(share, 10)))
    for (const row of inspect.rollout([[even, mapOf(3, () => [0])], [even]]))
      expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6)
  })

  it('flow is as wide as the narrowest step, over all paths at once', () => {
    // Token 2 looks at 1 alone, and 1 at 0 alone: half of what leaves 2 may pass through 1, or stay and pass below.
    const back = mapOf(3, (row) => [Math.max(0, row - 1)])
    const [row] = inspect.flow([[back], [back]])
    expect([...row!]).toEqual([expect.closeTo(0.5, 10), expect.closeTo(1, 10), expect.closeTo(0.5, 10)])
  })

  it('flow goes around through a later layer where that is wider', () => {
    const bounds = inspect.flow([[even], [even], [even]], [2])[0]!
    const rolled = inspect.rollout([[even], [even], [even]])[2]!
    bounds.forEach((most, input) => expect(most).toBeGreaterThanOrEqual(rolled[input]! - 1e-12))
  })

  it('refuses maps that are not square', () => {
    expect(() => inspect.rollout([[even.slice(0, 2)]])).toThrow('inspect.rollout: maps[0] must be [2,2]; received [2,3]')
    expect(() => inspect.flow([[even]], [3])).toThrow('tokens must be whole, from 0 to 2; received 3')
  })
})
