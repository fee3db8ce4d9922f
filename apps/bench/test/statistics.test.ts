import { describe, expect, it } from 'vitest'
import { interleave, TooSlow } from '../src/measure/interleave.ts'
import { differs, quantile, ratioOfPairs, spreadOf } from '../src/measure/statistics.ts'

describe('spreads', () => {
  it('of an odd sample, the median is the middle one and the quartiles lie halfway to the ends', () => {
    expect(spreadOf([5, 1, 4, 2, 3])).toEqual({ median: 3, low: 2, high: 4 })
  })

  it('a single outlier leaves median and quartiles where they were', () => {
    const calm = Array.from({ length: 99 }, (_, i) => 10 + i / 100)
    expect(spreadOf([...calm, 1e6]).median).toBeCloseTo(spreadOf(calm).median, 1)
    expect(spreadOf([...calm, 1e6]).high).toBeCloseTo(spreadOf(calm).high, 1)
  })

  it('of no sample there is no number', () => {
    expect(quantile([], 0.5)).toBeNaN()
  })
})

describe('ratios of pairs', () => {
  it('drift that falls on both sides of every pair cancels', () => {
    const drift = Array.from({ length: 15 }, (_, round) => 1 + round)
    const { median, low, high } = ratioOfPairs(
      drift.map((factor) => 6 * factor),
      drift.map((factor) => 2 * factor),
    )
    expect([low, median, high]).toEqual([3, 3, 3])
  })
})

describe('noise', () => {
  it('overlapping spreads are noise, however far apart the medians', () => {
    expect(differs({ median: 1, low: 0.5, high: 3 }, { median: 2, low: 0.9, high: 4 })).toBe(false)
  })

  it('separate spreads with medians within five percent are noise', () => {
    expect(differs({ median: 1, low: 0.99, high: 1.01 }, { median: 1.03, low: 1.02, high: 1.04 })).toBe(false)
  })

  it('separate spreads further apart are a change, in either direction', () => {
    const slow = { median: 1.2, low: 1.1, high: 1.3 }
    const fast = { median: 1, low: 0.9, high: 1.05 }
    expect(differs(slow, fast)).toBe(true)
    expect(differs(fast, slow)).toBe(true)
  })
})

describe('interleaving', () => {
  const plan = {
    rounds: 4,
    warmMilliseconds: 20,
    restMilliseconds: 0,
    sampleMilliseconds: 10,
    budgetMilliseconds: 1e6,
    patienceMilliseconds: Infinity,
  }
  const firstRun = 0

  it('every contestant gets every round, and none is always first', async () => {
    const order: string[] = []
    const timed = (name: string) => ({
      firstRun,
      async sample() {
        order.push(name)
        return 10
      },
    })
    const samples = await interleave(
      new Map([
        ['a', timed('a')],
        ['b', timed('b')],
      ]),
      plan,
    )
    expect([...samples.values()].map((taken) => Array.isArray(taken) && taken.length)).toEqual([4, 4])
    expect(order.slice(4)).toEqual(['a', 'b', 'b', 'a', 'a', 'b', 'b', 'a'])
  })

  it('before each sample the threads of the one before have come to rest', async () => {
    let ended = -Infinity
    const rests: number[] = []
    const sample = async () => {
      rests.push(performance.now() - ended)
      ended = performance.now()
      return 1000
    }
    await interleave(new Map(['a', 'b'].map((name) => [name, { firstRun, sample }])), { ...plan, restMilliseconds: 30 })
    // A timer may be a millisecond early; the first two are those who warm up.
    expect(Math.min(...rests.slice(2))).toBeGreaterThanOrEqual(29)
  })

  it('short runs are warmed by many, long ones by few', async () => {
    for (const [time, calls] of [
      [0.001, 20_000],
      [7, 3],
      [600, 1],
    ] as const) {
      let taken = 0
      const sample = async (repetitions: number) => {
        taken += repetitions
        return time
      }
      await interleave(new Map([['a', { firstRun, sample }]]), { ...plan, rounds: 0 })
      expect(taken).toBeGreaterThanOrEqual(calls)
      expect(taken).toBeLessThanOrEqual(2 * calls)
    }
  })

  it('short runs are repeated until a sample lasts', async () => {
    const asked: number[] = []
    const sample = async (repetitions: number) => {
      asked.push(repetitions)
      return 0.5
    }
    await interleave(new Map([['a', { firstRun, sample }]]), plan)
    expect(asked.slice(-4)).toEqual([20, 20, 20, 20])
  })

  it('a slow contestant gets fewer rounds, but three', async () => {
    const samples = await interleave(new Map([['slow', { firstRun, sample: async () => 1e6 }]]), plan)
    expect(samples.get('slow')).toHaveLength(3)
  })

  it('one that is too slow for three rounds is left out, and says how slow it is', async () => {
    const patient = { ...plan, patienceMilliseconds: 2500 }
    const slow = { firstRun, sample: async () => 1000 }
    const cold = { firstRun: 4000, sample: () => Promise.reject(new Error('asked')) }
    const samples = await interleave(new Map(Object.entries({ slow, cold })), patient)
    expect(samples.get('slow')).toEqual(new TooSlow('a run takes 1 s: 3 would take longer than the 2.5 s that there are for it'))
    expect(samples.get('cold')).toBeInstanceOf(TooSlow)
  })

  it('one that fails midway drops out and leaves the others their rounds', async () => {
    let runs = 0
    const failing = {
      firstRun,
      async sample() {
        if (++runs > 3) throw new Error('broken')
        return 10
      },
    }
    const samples = await interleave(
      new Map([
        ['failing', failing],
        ['fine', { firstRun, sample: async () => 10 }],
      ]),
      plan,
    )
    expect(samples.get('failing')).toEqual(new Error('broken'))
    expect(samples.get('fine')).toHaveLength(4)
  })
})
