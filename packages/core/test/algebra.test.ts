import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  cost,
  dropoutHash,
  dropoutThreshold,
  problem,
  reference,
  slice,
  tensor,
  toFloat64,
  type HostPartial,
  type HostTensor,
} from '@qkv/core'
import { addScore, emptySoftmax, logSumExp, mergePartials, mergeSoftmax, type SoftmaxState } from '@qkv/core/merge'

const score = fc.oneof(fc.double({ min: -50, max: 50, noNaN: true }), fc.constantFrom(-Infinity, -1e30, 1e30, 0))

describe('online softmax', () => {
  const exactly = (scores: readonly number[]): number => {
    const most = Math.max(-Infinity, ...scores)
    return most === -Infinity ? -Infinity : most + Math.log(scores.reduce((sum, s) => sum + Math.exp(s - most), 0))
  }
  const close = (a: number, b: number): boolean => a === b || Math.abs(a - b) <= 1e-12 * Math.max(1, Math.abs(a))

  it('takes scores one by one and knows the log of their exponentials’ sum', () => {
    fc.assert(fc.property(fc.array(score), (scores) => close(logSumExp(scores.reduce(addScore, emptySoftmax)), exactly(scores))))
  })

  it('merges in any order and grouping', () => {
    fc.assert(
      fc.property(fc.array(fc.array(score), { maxLength: 8 }), fc.infiniteStream(fc.nat()), (sets, choices) => {
        const states = sets.map((scores): SoftmaxState => scores.reduce(addScore, emptySoftmax))
        const draw = (): SoftmaxState => states.splice(Number(choices.next().value) % states.length, 1)[0]!
        while (states.length > 1) states.push(mergeSoftmax(draw(), draw()))
        return close(logSumExp(states[0] ?? emptySoftmax), exactly(sets.flat()))
      }),
    )
  })

  it('leaves a state as it is that meets nothing', () => {
    fc.assert(
      fc.property(fc.array(score), (scores) => {
        const state = scores.reduce(addScore, emptySoftmax)
        expect(mergeSoftmax(state, emptySoftmax)).toEqual(state)
        expect(mergeSoftmax(emptySoftmax, state)).toEqual(state)
      }),
    )
  })
})

describe('partial attention merges to the whole', () => {
  const numbers = (count: number, seed: number): Float32Array =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i) * 2)
  const [q, k, v] = [
    tensor(numbers(24, 1), [1, 2, 3, 4]),
    tensor(numbers(88, 2), [1, 2, 11, 4]),
    tensor(numbers(88, 3), [1, 2, 11, 4]),
  ]
  const whole = reference(problem(q, k, v))

  /** Attention over keys `first…end`. */
  function part(first: number, end: number): HostPartial {
    const { output, lse } = reference(problem(q, slice(k, 2, first, end), slice(v, 2, first, end)))
    return { output: tensor(Float32Array.from(output), [1, 2, 3, 4]), lse: tensor(Float32Array.from(lse), [1, 2, 3]) }
  }

  function expectWhole({ output, lse }: HostPartial): void {
    whole.output.forEach((value, index) => expect(toFloat64(output)[index]).toBeCloseTo(value, 5))
    whole.lse.forEach((value, index) => expect(toFloat64(lse)[index]).toBeCloseTo(value, 5))
  }

  it('however the keys are split, in any order and any tree, empty parts included', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 11 }), { maxLength: 6 }), fc.infiniteStream(fc.nat()), (cuts, choices) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), 11]
        const parts = edges.slice(1).map((end, index) => part(edges[index] ?? 0, end))
        while (parts.length > 1) {
          const taken = [0, 1, 2]
            .slice(0, Math.min(3, parts.length))
            .map(() => parts.splice(Number(choices.next().value) % parts.length, 1)[0]!)
          parts.push(mergePartials(taken))
        }
        expectWhole(parts[0]!)
      }),
      { numRuns: 60 },
    )
  })

  it('never looks at the output of a part that saw no key', () => {
    const nothing: HostPartial = {
      output: tensor(new Float32Array(24).fill(NaN), [1, 2, 3, 4]),
      lse: tensor(new Float32Array(6).fill(-Infinity), [1, 2, 3]),
    }
    expectWhole(mergePartials([nothing, part(0, 11), nothing]))
    const empty = mergePartials([nothing, nothing])
    expect(toFloat64(empty.output)).toEqual(new Float64Array(24))
    expect(toFloat64(empty.lse)).toEqual(new Float64Array(6).fill(-Infinity))
  })

  it.each([
    ['no parts', () => mergePartials([]), 'OPTION_INVALID', /parts must be at least one part/],
    ['an output of other axes', () => mergePartials([{ ...part(0, 1), output: tensor([1], [1]) }]), 'SHAPE_MISMATCH', /four axes/],
    [
      'outputs of two shapes',
      () => mergePartials([part(0, 1), { ...part(1, 2), output: tensor([1], [1, 1, 1, 1]) }]),
      'SHAPE_MISMATCH',
      /parts\[1\].output must be \[1,2,3,4\]/,
    ],
    [
      'lse of another shape',
      () => mergePartials([{ ...part(0, 1), lse: tensor([1], [1]) }]),
      'SHAPE_MISMATCH',
      /parts\[0\].lse must be \[1,2,3\]/,
    ],
    [
      'whole numbers',
      () => mergePartials([{ ...part(0, 1), lse: tensor(new Int32Array(6), [1, 2, 3]) }]),
      'DTYPE_UNSUPPORTED',
      /a float dtype/,
    ],
    [
      'a backend’s tensors',
      () =>
        mergePartials([
          { ...part(0, 1), lse: { ...part(0, 1).lse, storage: { owner: Symbol(), byteLength: 24 } } as unknown as HostTensor },
        ]),
      'OPTION_INVALID',
      /in host memory/,
    ],
  ])('refuses %s', (_, merge, code, message) => {
    expect(merge).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })
})

describe('cost', () => {
  const one = { queryHeads: 1, headDim: 64 }

  it('of one head counts its pairs', () => {
    expect(cost({ ...one, queryLength: 4096 }).scores).toBe(16_777_216)
    expect(cost({ ...one, queryLength: 131_072 }).scores).toBe(17_179_869_184)
  })

  it('counts causal pairs as there are', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 40 }), (queryLength, keyLength) => {
        let pairs = 0
        for (let i = 0; i < queryLength; i++) pairs += Math.max(0, keyLength - queryLength + i + 1)
        expect(cost({ ...one, queryLength, keyLength, causal: true }).scores).toBe(pairs)
      }),
    )
  })

  it('counts what is computed, moved and kept', () => {
    const shape = {
      batch: 2,
      queryHeads: 8,
      keyHeads: 2,
      queryLength: 16,
      keyLength: 100,
      headDim: 64,
      valueDim: 32,
      dtype: 'float16',
    } as const
    expect(cost(shape)).toEqual({
      scores: 2 * 8 * 16 * 100,
      flops: 2 * 8 * 16 * 100 * (2 * 64 + 2 * 32),
      bytesMoved: 2 * (2 * 8 * 16 * (64 + 32) + 2 * 2 * 100 * (64 + 32)),
      materializedBytes: 2 * 2 * 8 * 16 * 100,
      flashBytes: 4 * 2 * 8 * 16,
      cacheBytes: 2 * 2 * 2 * 100 * (64 + 32),
    })
  })
})

describe('dropout', () => {
  it('drops the share it is asked to, of pairs that tell nothing of each other', () => {
    const threshold = dropoutThreshold({ probability: 0.3, seed: 0 })
    const dropped = (key: number, row: number): number => (dropoutHash(7, 1, 2, row, key) < threshold ? 1 : 0)
    let [single, both] = [0, 0]
    for (let row = 0; row < 300; row++) {
      for (let key = 0; key < 300; key++) {
        single += dropped(key, row)
        both += dropped(key, row) * dropped(key + 1, row)
      }
    }
    expect(single / 90_000).toBeCloseTo(0.3, 2)
    expect(both / 90_000).toBeCloseTo(0.09, 2)
  })
})
