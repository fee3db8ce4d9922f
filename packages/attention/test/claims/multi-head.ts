import { maskMod, roundTo, slice, tensor, toFloat64, type HostTensor } from '@qkv/core'
import { inspect, KeyValueCache, MultiHeadAttention, SlidingCache, type CacheState } from '@qkv/attention'
import { rotary } from '@qkv/positional'
import { expect, it, vi } from 'vitest'
import { arrangements, lively, type LayerOptions } from './arrangements.ts'
import { naiveLayer } from './naive-layer.ts'
import { expectEstimated, someRows } from './estimates.ts'
import { normal, tensorsHeld, valuesOf, type Subject } from './subject.ts'

/** What holds for `MultiHeadAttention` on any backend. */
export function multiHeadClaims(subject: () => Subject): void {
  it.each(Object.entries(arrangements))('%s: is what the formulas say', async (_, options) => {
    const { backend } = subject()
    using layer = new MultiHeadAttention({ ...options, backend, seed: 5, weights: lively(options) })
    const input = normal('input', [2, 7, options.modelDim])
    using output = await layer.forward(input)
    expect(output.shape).toEqual([2, 7, options.modelDim])
    const exact = naiveLayer(input, input, layer.config, options, await layer.state(), subject().platform)
    expectEstimated(subject(), await valuesOf(subject(), output), exact, options.modelDim)
  })

  it.each(Object.entries(arrangements).filter(([, { causal }]) => causal))(
    '%s: decodes through a cache what it gives at once',
    async (_, options) => {
      const { backend } = subject()
      using layer = new MultiHeadAttention({ ...options, backend, seed: 6 })
      const { kvHeads, headDim, valueDim } = layer.config
      using cache = new KeyValueCache({ backend, batch: 2, heads: kvHeads, headDim, valueDim })
      const input = normal('decoded', [2, 9, options.modelDim])
      const exact = naiveLayer(input, input, layer.config, options, await layer.state(), subject().platform)
      let start = 0
      for (const count of [4, 1, 1, 3]) {
        const end = start + count
        using part = await layer.forward(slice(input, 1, start, end), { cache })
        const rows = someRows(exact, options.modelDim, (row) => row % 9 >= start && row % 9 < end)
        expectEstimated(subject(), await valuesOf(subject(), part), rows, options.modelDim)
        start = end
      }
      expect(cache.length).toBe(9)
    },
  )

  it.each([0, 2])('rotary over a window that slides, with %i sinks: as the whole text has it', async (sinks) => {
    const { backend } = subject()
    const sees = maskMod(({ query, key }) => query.sub(key).lt(4).or(key.lt(sinks)))
    const options: LayerOptions = { modelDim: 16, heads: 2, causal: true, position: rotary({ dim: 8 }) }
    using layer = new MultiHeadAttention({ ...options, backend })
    using cache = new SlidingCache({ backend, heads: 2, headDim: 8, window: 4, sinks })
    const input = normal('sliding', [1, 24, 16])
    const whole = { ...options, mask: sees }
    const exact = naiveLayer(input, input, layer.config, whole, await layer.state(), subject().platform)
    for (let token = 0; token < 24; token++) {
      using part = await layer.forward(slice(input, 1, token, token + 1), { cache })
      const own = someRows(exact, 16, (row) => row === token)
      expectEstimated(subject(), await valuesOf(subject(), part), own, 16)
    }
  })

  it.each([
    ['dynamic', { type: 'dynamic', factor: 2, max_position_embeddings: 4 }],
    [
      'longrope',
      { type: 'longrope', short_factor: [1, 1, 1, 1], long_factor: [1, 2, 3, 4], original_max_position_embeddings: 4, factor: 2 },
    ],
  ] as const)('%s rotary: each token sees all keys turned as the length so far has it', async (_, scaling) => {
    const { backend } = subject()
    const options: LayerOptions = { modelDim: 16, heads: 2, causal: true, position: rotary({ dim: 8, ...scaling }) }
    using layer = new MultiHeadAttention({ ...options, backend })
    using cache = new KeyValueCache({ backend, heads: 2, headDim: 8 })
    const input = normal('growing', [1, 9, 16])
    let start = 0
    for (const count of [3, 1, 1, 3, 1]) {
      const end = start + count
      using part = await layer.forward(slice(input, 1, start, end), { cache })
      const whole = slice(input, 1, 0, end)
      const exact = naiveLayer(whole, whole, layer.config, options, await layer.state(), subject().platform)
      const rows = someRows(exact, 16, (row) => row >= start)
      expectEstimated(subject(), await valuesOf(subject(), part), rows, 16)
      start = end
    }
    using small = new KeyValueCache({ backend, heads: 2, headDim: 8, dtype: 'int8' })
    await expect(layer.forward(input, { cache: small })).rejects.toThrow(
      'cache must be one with all keys as floats; received quantised keys',
    )
    expect(small.length).toBe(0)
    await expect(layer.forward(input, { cache, positions: { start: 9, length: 9 } })).rejects.toThrow('positions must be absent')
    expect(cache.length).toBe(9)
  })

  it('leaves a cache as it was when something fails', async () => {
    const { backend } = subject()
    using layer = new MultiHeadAttention({ backend, modelDim: 12, heads: 3, causal: true, position: rotary({ dim: 4 }) })
    for (const cache of [
      new KeyValueCache({ backend, heads: 3, headDim: 4 }),
      new SlidingCache({ backend, heads: 3, headDim: 4, window: 2 }),
    ]) {
      for (const token of [0, 1, 2, 3]) (await layer.forward(normal(`token ${token}`, [1, 1, 12]), { cache })).dispose()
      const before = await cache.save()
      await expect(layer.forward(normal('more', [1, 3, 12]), { cache, bias: tensor([1, 2, 3], [3, 1, 1, 1, 1]) })).rejects.toThrow(
        'bias',
      )
      await expect(
        layer.forward(normal('more', [1, 3, 12]), { cache, inspect: () => Promise.reject(new Error('seen enough')) }),
      ).rejects.toThrow('seen')
      await expect(layer.forward(normal('more', [1, 3, 12]), { cache, lengths: [1] })).rejects.toThrow(
        'lengths must be absent with a cache',
      )
      expect(cache.length).toBe(4)
      const state = await cache.save()
      expect(latest(state)).toEqual(latest(before))
      cache.dispose()
    }
  })

  it.each(['float16', 'bfloat16'] as const)('takes %s weights and inputs, to their precision', async (dtype) => {
    const { backend } = subject()
    const options: LayerOptions = {
      modelDim: 16,
      heads: 2,
      causal: true,
      gate: 'head',
      bias: true,
      queryKeyNorm: { kind: 'rms' },
      position: rotary({ dim: 8 }),
    }
    using exact = new MultiHeadAttention({ ...options, backend, seed: 3 })
    const rounded = (view: HostTensor): HostTensor => tensor(roundTo(toFloat64(view), dtype), view.shape, { dtype })
    const weights = Object.fromEntries(Object.entries(await exact.state()).map(([name, weight]) => [name, rounded(weight)]))
    using layer = new MultiHeadAttention({ ...options, backend, weights })
    const input = normal('half input', [1, 5, 16])
    using output = await layer.forward(rounded(input))
    using expected = await exact.forward(input)
    expect(output.dtype).toBe(dtype)
    const [actual, wanted] = [await valuesOf(subject(), output), await valuesOf(subject(), expected)]
    const size = Math.hypot(...wanted)
    expect(Math.hypot(...actual.map((element, index) => element - wanted[index]!)) / size).toBeLessThan(
      dtype === 'float16' ? 0.004 : 0.03,
    )
  })

  it('attends across to a memory, projected once or each time', async () => {
    const { backend } = subject()
    const options: LayerOptions = { modelDim: 12, memoryDim: 10, heads: 3, bias: true }
    using layer = new MultiHeadAttention({ ...options, backend, seed: 7 })
    const input = normal('decoder', [2, 3, 12])
    const memory = normal('encoder', [2, 8, 10])
    using direct = await layer.forward(input, { memory })
    const exact = naiveLayer(input, memory, layer.config, options, await layer.state(), subject().platform)
    expectEstimated(subject(), await valuesOf(subject(), direct), exact, 12)
    using projected = await layer.project(memory)
    using again = await layer.forward(input, { memory: projected })
    expect(await valuesOf(subject(), again)).toEqual(await valuesOf(subject(), direct))
  })

  it('attends across to as much of each memory as is valid', async () => {
    const { backend } = subject()
    const options: LayerOptions = { modelDim: 12, memoryDim: 10, heads: 3 }
    using layer = new MultiHeadAttention({ ...options, backend, seed: 7 })
    const input = normal('decoder', [2, 3, 12])
    const memory = normal('encoder', [2, 8, 10])
    using padded = await layer.forward(input, { memory, lengths: [8, 5] })
    const [own, valid] = [slice(input, 0, 1, 2), slice(slice(memory, 0, 1, 2), 1, 0, 5)]
    const exact = naiveLayer(own, valid, layer.config, options, await layer.state(), subject().platform)
    expectEstimated(subject(), (await valuesOf(subject(), padded)).subarray(3 * 12), exact, 12)
  })

  it('shows what it attends with across to a memory', async () => {
    const { backend } = subject()
    using layer = new MultiHeadAttention({ backend, modelDim: 12, memoryDim: 10, heads: 3 })
    let map: inspect.WeightMap = []
    using _ = await layer.forward(normal('decoder', [1, 3, 12]), {
      memory: normal('encoder', [1, 8, 10]),
      inspect: async (query, key, options) => {
        map = await inspect.weights(query, key, options)
      },
    })
    expect(map.map((rows) => rows.map((row) => row.length))).toEqual(new Array(3).fill([8, 8, 8]))
  })

  it('attends across with its fused projection too', async () => {
    const { backend } = subject()
    const options: LayerOptions = { modelDim: 12, heads: 3, kvHeads: 1, bias: true, fused: true }
    using layer = new MultiHeadAttention({ ...options, backend, seed: 8, weights: lively(options) })
    const input = normal('decoder', [1, 3, 12])
    const memory = normal('memory', [1, 5, 12])
    using output = await layer.forward(input, { memory })
    const exact = naiveLayer(input, memory, layer.config, options, await layer.state(), subject().platform)
    expectEstimated(subject(), await valuesOf(subject(), output), exact, 12)
  })

  it('leaves nothing behind on the backend but its output', async () => {
    const { backend } = subject()
    const before = await tensorsHeld(subject())
    {
      using layer = new MultiHeadAttention({
        backend,
        modelDim: 12,
        heads: 3,
        gate: 'head',
        queryKeyNorm: { kind: 'rms' },
        position: rotary({ dim: 4 }),
        causal: true,
      })
      using cache = new KeyValueCache({ backend, heads: 3, headDim: 4 })
      using _ = await layer.forward(normal('some', [1, 5, 12]), { cache })
      using __ = await layer.forward(normal('some', [1, 5, 12]), { memory: normal('other', [1, 4, 12]) })
    }
    expect(await tensorsHeld(subject())).toBe(before)
  })

  it('gives back the weights it brought where the next one fails', async () => {
    const { backend } = subject()
    const before = await tensorsHeld(subject())
    const upload = backend.upload.bind(backend)
    let left = 3
    const failing = vi.spyOn(backend, 'upload').mockImplementation((view) => {
      if (--left === 0) throw new Error('no memory left')
      return upload(view)
    })
    expect(() => new MultiHeadAttention({ backend, modelDim: 12, heads: 3 })).toThrow('no memory left')
    failing.mockRestore()
    expect(await tensorsHeld(subject())).toBe(before)
  })

  it('gives its weights back as it took them', async () => {
    const { backend } = subject()
    const options: LayerOptions = {
      modelDim: 8,
      heads: 2,
      gate: 'element',
      sinks: true,
      bias: true,
      queryKeyNorm: { kind: 'layer' },
    }
    using layer = new MultiHeadAttention({ ...options, backend, seed: 1 })
    const state = await layer.state()
    using copy = new MultiHeadAttention({ ...options, backend, weights: state })
    expect(await copy.state()).toEqual(state)
    expect(Object.keys(state).sort()).toEqual([
      'gate.bias',
      'gate.weight',
      'key.bias',
      'key.weight',
      'keyNorm.bias',
      'keyNorm.weight',
      'output.bias',
      'output.weight',
      'query.bias',
      'query.weight',
      'queryNorm.bias',
      'queryNorm.weight',
      'sinks',
      'value.bias',
      'value.weight',
    ])
  })

  it('refuses options and weights that do not fit, by name', async () => {
    const { backend } = subject()
    const make = (options: Partial<LayerOptions>) => () => new MultiHeadAttention({ backend, modelDim: 12, heads: 3, ...options })
    expect(make({ kvHeads: 2 })).toThrow('MultiHeadAttention: kvHeads must be a divisor of the 3 heads; received 2')
    expect(make({ heads: 5 })).toThrow('headDim must be a whole number ≥ 1; received 2.4')
    expect(make({ weights: {} })).toThrow("weights['query.weight'] must be a tensor [12,12]; received nothing")
    expect(make({ weights: { extra: tensor([1], [1]) } })).toThrow("weights['extra'] must be absent")
    using layer = make({})()
    await expect(layer.forward(normal('input', [1, 2, 13]))).rejects.toThrow(
      'MultiHeadAttention.forward: input must be […,…,12]; received [1,2,13]',
    )
    layer.dispose()
    await expect(layer.forward(normal('input', [1, 2, 12]))).rejects.toThrow(expect.objectContaining({ code: 'DISPOSED' }))
  })
}

/** The last token's key, which a window of two must still hold. */
function latest({ stored: { key } }: CacheState): Float64Array {
  return toFloat64(slice(key, 2, key.shape[2]! - 1, key.shape[2]!))
}
