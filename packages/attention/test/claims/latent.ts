import { slice, tensor, toFloat32, toFloat64, type HostTensor } from '@qkv/core'
import { BatchedCache } from '@qkv/attention/batches'
import { LatentAttention, type LatentAttentionOptions } from '@qkv/attention/latent'
import { latentForwardWithGradient } from '@qkv/attention/training'
import { rotary } from '@qkv/positional'
import { expect, it } from 'vitest'
import { naiveLatentLayer } from './naive-latent-layer.ts'
import { expectEstimated, someRows } from './estimates.ts'
import { expectSlopes } from './slopes.ts'
import { dot, normal, tensorsHeld, valuesOf, type Subject } from './subject.ts'

const sizes = {
  modelDim: 24,
  heads: 3,
  latentDim: 8,
  contentDim: 6,
  rotaryDim: 4,
  valueDim: 5,
  position: rotary({ dim: 4, layout: 'interleaved' }),
}

/** What holds for `LatentAttention` on any backend. */
export function latentClaims(subject: () => Subject): void {
  const input = normal('latent input', [2, 9, 24])
  const make = (options: Partial<LatentAttentionOptions> = {}): LatentAttention =>
    new LatentAttention({ ...sizes, ...options, backend: subject().backend, seed: 4 })

  it.each([undefined, 7])('is what the formulas say, with queries from %s', async (queryLatentDim) => {
    using layer = make({ queryLatentDim })
    using output = await layer.forward(input)
    const { platform } = subject()
    const exact = naiveLatentLayer(input, { ...sizes, queryLatentDim }, await layer.state(), { platform })
    expectEstimated(subject(), await valuesOf(subject(), output), exact, 24)
  })

  it.each([undefined, 7])(
    'gradients are those of the formulas, by central differences, with queries from %s',
    async (queryLatentDim) => {
      const [initial, before] = [await stateOf(make({ queryLatentDim })), await tensorsHeld(subject())]
      const weights = Object.fromEntries(
        Object.entries(initial).map(([name, weight]) => [name, name.includes('Norm') ? normal(name, weight.shape) : weight]),
      )
      using layer = make({ queryLatentDim, weights })
      const short = slice(input, 1, 0, 5)
      const dOutput = normal('latent output', short.shape)
      {
        using result = await latentForwardWithGradient(layer, short)
        using output = await layer.forward(short)
        expect(await valuesOf(subject(), result.output)).toEqual(await valuesOf(subject(), output))

        const { dInput, weights: gradients } = await result.backward(dOutput)
        expect(Object.keys(gradients).toSorted()).toEqual(Object.keys(weights).toSorted())
        const loss = (x: HostTensor, named: Record<string, HostTensor>): number =>
          dot(naiveLatentLayer(x, { ...sizes, queryLatentDim }, named).values, toFloat64(dOutput))
        await expectSlopes(subject(), dInput, short, (moved) => loss(moved, weights))
        for (const [name, gradient] of Object.entries(gradients)) {
          await expectSlopes(subject(), gradient, weights[name]!, (moved) => loss(short, { ...weights, [name]: moved }))
        }
        for (const made of [dInput, ...Object.values(gradients)]) made.dispose()
      }
      layer.dispose()
      expect(await tensorsHeld(subject())).toBe(before)
    },
  )

  it('absorbed, through a cache, gives what it gives spelled out', async () => {
    using layer = make()
    using cache = layer.cache({ batch: 2 })
    const exact = naiveLatentLayer(input, sizes, await layer.state(), { platform: subject().platform, absorbed: true })
    let start = 0
    for (const count of [4, 1, 1, 3]) {
      const end = start + count
      using part = await layer.forward(slice(input, 1, start, end), { cache })
      const rows = someRows(exact, 24, (row) => row % 9 >= start && row % 9 < end)
      expectEstimated(subject(), await valuesOf(subject(), part), rows, 24)
      start = end
    }
    expect(cache.length).toBe(9)
  })

  it('decodes sequences of different lengths together as each alone', async () => {
    const { backend } = subject()
    using layer = make()
    using cache = new BatchedCache({ backend, batch: 2, heads: 1, headDim: 12, valueDim: 0 })
    const exact = naiveLatentLayer(input, sizes, await layer.state(), { platform: subject().platform, absorbed: true })
    // The first has five tokens before its last, the second eight: three rows of padding, which are rows of the second here.
    for (const [starts, counts] of [
      [
        [0, 0],
        [5, 8],
      ],
      [
        [5, 8],
        [1, 1],
      ],
    ] as const) {
      const longest = Math.max(...counts)
      const rows = counts.map((count, entry) => slice(slice(input, 0, entry, entry + 1), 1, starts[entry]!, starts[entry]! + count))
      const padding = counts.map((count) => slice(slice(input, 0, 1, 2), 1, 0, longest - count))
      const next = tensor(Float32Array.from(rows.flatMap((row, entry) => [...toFloat32(padding[entry]!), ...toFloat32(row)])), [
        2,
        longest,
        24,
      ])
      using output = await layer.forward(next, { cache, counts })
      const together = await valuesOf(subject(), output)
      for (const [entry, count] of counts.entries()) {
        const own = together.subarray((entry * longest + longest - count) * 24, (entry + 1) * longest * 24)
        const first = entry * 9 + starts[entry]!
        const alone = someRows(exact, 24, (row) => row >= first && row < first + count)
        expectEstimated(subject(), own, alone, 24)
      }
    }
    expect(cache.lengths).toEqual([6, 9])
    using plain = layer.cache()
    await expect(layer.forward(slice(input, 0, 0, 1), { cache: plain, counts: [9] })).rejects.toThrow('counts must be absent')
  })

  it('caches latentDim + rotaryDim elements a token, also quantised', async () => {
    using layer = make()
    using plain = layer.cache({ capacity: 16 })
    expect(plain.byteLength).toBe(16 * (8 + 4) * 4)
    using small = layer.cache({ capacity: 16, dtype: 'int8' })
    expect(small.byteLength).toBe(16 * (12 + 3 * 4))
    const one = slice(input, 0, 0, 1)
    using exact = await layer.forward(one, { cache: plain })
    using rounded = await layer.forward(one, { cache: small })
    const [a, b] = [await valuesOf(subject(), exact), await valuesOf(subject(), rounded)]
    expect(a.every((element, index) => Math.abs(element - b[index]!) < 0.05)).toBe(true)
    expect(a).not.toEqual(b)
  })

  it('refuses a position of another size', () => {
    expect(() => make({ position: rotary({ dim: 6 }) })).toThrow(
      'LatentAttention: position must be rotary over 4 elements that does not follow the length; received over 6',
    )
  })
}

/** What a layer begins with; it is disposed. */
async function stateOf(layer: LatentAttention): Promise<Record<string, HostTensor>> {
  using disposed = layer
  return await disposed.state()
}
