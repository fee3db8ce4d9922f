import { isHostTensor, problem, reference, tensor, type HostTensor, type Tensor } from '@qkv/core'
import { inspect } from '@qkv/attention'
import { alibi, rotary } from '@qkv/positional'
import { createCpuBackend } from '@qkv/cpu'
import { randomProblems } from '@qkv/testing'
import { memoryUsage } from 'node:process'
import { describe, expect, it } from 'vitest'
import { optionsOf } from './claims/attention.ts'
import { normal } from './claims/subject.ts'

describe('inspect.weights', () => {
  it('gives the reference’s weights, whatever the options', () => {
    for (const { token, problem: asked } of randomProblems({
      count: 60,
      seed: 3,
      limits: { work: 2 ** 13, without: ['dropout', 'quantised'] },
    })) {
      const { batch, queryHeads, queryLength, keyLength } = asked
      const exact = reference(asked, { weights: true }).weights!
      for (let b = 0; b < batch; b++) {
        const map = inspect.weights(onHost(asked.query), onHost(asked.key), { ...optionsOf(asked), batch: b })
        map.forEach((rows, h) =>
          rows.forEach((row, i) =>
            row.forEach((weight, j) => {
              const expected = exact[((b * queryHeads + h) * queryLength + i) * keyLength + j]!
              if (!(Object.is(weight, NaN) && Number.isNaN(expected)) && Math.abs(weight - expected) > 1e-6)
                expect.fail(`${weight} is not ${expected}: [${b},${h},${i},${j}] of ${token}`)
            }),
          ),
        )
      }
    }
  })

  const query = normal('query', [1, 2, 9, 8])
  const key = normal('key', [1, 2, 9, 8])

  it('gives the chosen rows and heads, in the order they were asked for', () => {
    const all = inspect.weights(query, key, { causal: true })
    const some = inspect.weights(query, key, { causal: true, heads: [1], rows: [7, 2] })
    expect(some).toEqual([[all[1]![7], all[1]![2]]])
    expect(all.map((head) => head.length)).toEqual([9, 9])
  })

  it('follows positions: alibi and rotary change the map', () => {
    const plain = inspect.weights(query, key)
    const position = alibi({ heads: 2 })
    if (position.kind !== 'score' || position.follows !== 'positions') throw new Error('alibi follows positions')
    expect(inspect.weights(query, key, { position })).toEqual(inspect.weights(query, key, { score: position.scoreMod }))
    const turned = inspect.weights(query, key, { position: rotary({ dim: 8 }) })
    expect(turned).not.toEqual(plain)
    const far = inspect.weights(query, key, {
      position: rotary({ dim: 8 }),
      positions: { query: { start: 500, length: 9 }, key: { start: 500, length: 9 } },
    })
    far.forEach((rows, h) =>
      rows.forEach((row, i) => row.forEach((weight, j) => expect(weight).toBeCloseTo(turned[h]![i]![j]!, 4))),
    )
  })

  it('turns queries and keys as a backend does', async () => {
    using backend = await createCpuBackend()
    for (const layout of ['half', 'interleaved'] as const) {
      const position = rotary({ dim: 6, layout })
      const [q, k] = [query, key].map((view) => backend.rotate(view, position.table({ start: 0, length: 9 })))
      const onBackend = await inspect.weights(q!, k!, { backend })
      const onHere = inspect.weights(query, key, { position })
      onBackend.forEach((rows, h) =>
        rows.forEach((row, i) => row.forEach((weight, j) => expect(onHere[h]![i]![j]).toBeCloseTo(weight, 5))),
      )
      q!.dispose()
      k!.dispose()
    }
  })

  it('reads what lives on a backend home first, options too', async () => {
    using backend = await createCpuBackend()
    const sinks = tensor([0.5, -1], [2])
    const [q, k, s] = [query, key, sinks].map((view) => backend.upload(view))
    expect(await inspect.weights(q!, k!, { backend, sinks: s })).toEqual(inspect.weights(query, key, { sinks }))
    const [rows] = inspect.weights(query, key, { sinks, rows: [0] })
    expect(rows![0]!.reduce((sum, weight) => sum + weight, 0)).toBeLessThan(0.99)
    for (const view of [q, k, s]) view!.dispose()
  })

  it('does not hold the map of a long sequence to look at one row', () => {
    const long = normal('long', [1, 1, 20_000, 4])
    const before = memoryUsage().arrayBuffers
    const [rows] = inspect.weights(long, long, { rows: [19_999], causal: true })
    expect(rows![0]!.length).toBe(20_000)
    expect(memoryUsage().arrayBuffers - before).toBeLessThan(20_000 * 4 * 8 * 6)
  })

  it('refuses rows and heads that there are not, and tensors it cannot read', async () => {
    expect(() => inspect.weights(query, key, { rows: [9] })).toThrow('inspect.weights: rows must be whole, from 0 to 8; received 9')
    expect(() => inspect.weights(query, key, { heads: [-1] })).toThrow('heads must be whole, from 0 to 1')
    expect(() => inspect.weights(query, key, { batch: 1 })).toThrow('batch must be whole, from 0 to 0; received 1')
    using backend = await createCpuBackend()
    using owned = backend.upload(query)
    expect(() => inspect.weights(owned as never, key)).toThrow('in host memory')
  })

  it('sums to one over the keys', () => {
    const exact = reference(problem(query, key, key, { causal: true }), { weights: true })
    expect(exact.weights!.length).toBe(2 * 81)
    for (const rows of inspect.weights(query, key, { causal: true })) {
      for (const row of rows) expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 6)
    }
  })
})

function onHost(view: Tensor): HostTensor {
  if (!isHostTensor(view)) throw new TypeError('random problems are in host memory')
  return view
}
