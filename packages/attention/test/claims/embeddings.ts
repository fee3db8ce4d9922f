import { slice, tensor, toFloat32, toFloat64, type HostTensor } from '@qkv/core'
import { KeyValueCache, MultiHeadAttention } from '@qkv/attention'
import { BatchedCache } from '@qkv/attention/batches'
import { exportAttentionLayer } from '@qkv/attention/onnx-export'
import { forwardWithGradient } from '@qkv/attention/training'
import { learned, rotary, sinusoidal, type EmbeddingEncoding, type Positions } from '@qkv/positional'
import { expect, it } from 'vitest'
import { lively, type LayerOptions } from './arrangements.ts'
import { expectEstimated, someRows } from './estimates.ts'
import { naiveLayer } from './naive-layer.ts'
import { expectSlopes } from './slopes.ts'
import { dot, normal, tensorsHeld, valuesOf, type Subject } from './subject.ts'

const rows = normal('embedding rows', [16, 12])
const heads: LayerOptions = { modelDim: 12, heads: 3, causal: true, gate: 'head' }

/** What holds for a layer whose positions are added to its input, on any backend. */
export function embeddingClaims(subject: () => Subject): void {
  const input = normal('embedded input', [2, 9, 12])

  it.each([
    ['sinusoids', [sinusoidal({ dim: 12 })], [sinusoidal({ dim: 12 })]],
    [
      'rows of a table, and a rotary encoding',
      [learned({ table: rows, offset: 2 }), rotary({ dim: 4 })],
      [learned({ table: rows, offset: 2 })],
    ],
  ] as const)('%s: at once and through a cache, as the formulas have the sum', async (_, position, embeddings) => {
    const { backend, platform } = subject()
    const options = { ...heads, position }
    using layer = new MultiHeadAttention({ ...options, backend, weights: lively(options) })
    const sum = embeddings.reduce((vectors, embedding) => added(vectors, embedding, { start: 0, length: 9 }), input)
    const exact = naiveLayer(sum, sum, layer.config, options, await layer.state(), platform)
    using whole = await layer.forward(input)
    expectEstimated(subject(), await valuesOf(subject(), whole), exact, 12)
    using cache = new KeyValueCache({ backend, batch: 2, heads: 3, headDim: 4 })
    for (const [start, end] of [
      [0, 5],
      [5, 6],
      [6, 9],
    ] as const) {
      using part = await layer.forward(slice(input, 1, start, end), { cache })
      const own = someRows(exact, 12, (row) => row % 9 >= start && row % 9 < end)
      expectEstimated(subject(), await valuesOf(subject(), part), own, 12)
    }
  })

  it('follows positions, and lengths of their own, whatever stands before them', async () => {
    const { backend, platform } = subject()
    const embedding = learned({ table: rows })
    const options = { ...heads, position: embedding }
    using layer = new MultiHeadAttention({ ...options, backend, weights: lively(options) })
    const positions = tensor([3, 1, 0, 7, 7, 2, 15, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8], [2, 9], { dtype: 'int32' })
    using output = await layer.forward(input, { positions })
    const placed = added(input, embedding, positions)
    const exact = naiveLayer(placed, placed, layer.config, options, await layer.state(), platform)
    expectEstimated(subject(), await valuesOf(subject(), output), exact, 12)

    using cache = new BatchedCache({ backend, batch: 2, heads: 3, headDim: 4 })
    using padded = await layer.forward(input, { cache, counts: [4, 9] })
    const own = slice(slice(input, 0, 0, 1), 1, 5, 9)
    const sum = added(own, embedding, { start: 0, length: 4 })
    const alone = naiveLayer(sum, sum, layer.config, options, await layer.state(), platform)
    expectEstimated(subject(), (await valuesOf(subject(), padded)).subarray(5 * 12, 9 * 12), alone, 12)
  })

  it('is self-attention’s: what attends to a memory comes with its own', async () => {
    const { backend } = subject()
    const memory = normal('memory', [2, 4, 12])
    using plain = new MultiHeadAttention({ ...heads, backend, seed: 2 })
    using layer = new MultiHeadAttention({ ...heads, backend, seed: 2, position: sinusoidal({ dim: 12 }) })
    using one = await plain.forward(input, { memory })
    using other = await layer.forward(input, { memory })
    expect(await valuesOf(subject(), other)).toEqual(await valuesOf(subject(), one))
    await expect(layer.forward(input, { memory, positions: [0] })).rejects.toThrow('positions must be absent')
  })

  it('passes gradients on to the input and to its table', async () => {
    const { backend } = subject()
    const position = (table: HostTensor) => [rotary({ dim: 4 }), learned({ table })]
    using layer = new MultiHeadAttention({ ...heads, backend, position: position(rows), weights: lively(heads) })
    const short = slice(input, 1, 0, 5)
    const dOutput = normal('embedded output', [2, 5, 12])
    const before = await tensorsHeld(subject())
    {
      using result = await forwardWithGradient(layer, short)
      const { dInput, weights, captured } = await result.backward(dOutput)
      const state = await layer.state()
      const loss = (x: HostTensor, table: HostTensor): number => {
        const sum = added(x, learned({ table }), { start: 0, length: 5 })
        return dot(naiveLayer(sum, sum, layer.config, { ...heads, position: position(table) }, state).values, toFloat64(dOutput))
      }
      const contiguous = tensor(toFloat32(short), short.shape)
      await expectSlopes(subject(), dInput, contiguous, (moved) => loss(moved, rows))
      await expectSlopes(subject(), captured.get(rows)!, rows, (moved) => loss(contiguous, moved), 24)
      for (const made of [dInput, ...Object.values(weights), ...captured.values()]) made.dispose()
    }
    expect(await tensorsHeld(subject())).toBe(before)
  })

  it('refuses vectors of another size, places that a table lacks, and what cannot be exported', async () => {
    const { backend } = subject()
    expect(() => new MultiHeadAttention({ ...heads, backend, position: sinusoidal({ dim: 8 }) })).toThrow(
      'MultiHeadAttention: position.dim must be 12; received 8',
    )
    using layer = new MultiHeadAttention({
      ...heads,
      gate: undefined,
      backend,
      position: learned({ table: slice(rows, 0, 0, 10) }),
    })
    using cache = new KeyValueCache({ backend, batch: 2, heads: 3, headDim: 4 })
    using _ = await layer.forward(input, { cache })
    await expect(layer.forward(slice(input, 1, 0, 2), { cache })).rejects.toThrow('learned: positions must be whole numbers')
    expect(cache.length).toBe(9)
    await expect(exportAttentionLayer(layer)).rejects.toThrow('position must be absent')
  })
}

/** The sum as float32 numbers, which is what any backend gives. */
function added(input: HostTensor, embedding: EmbeddingEncoding, positions: Positions): HostTensor {
  const vectors = toFloat64(embedding.embed(positions))
  const sums = toFloat64(input).map((element, at) => element + vectors[at % vectors.length]!)
  return tensor(Float32Array.from(sums), input.shape)
}
