import { maskMod, scoreMod, tensor, toFloat64, type HostTensor, type Tensor } from '@qkv/core'
import { MultiHeadAttention } from '@qkv/attention'
import { forwardWithGradient } from '@qkv/attention/training'
import { rotary, t5Bias } from '@qkv/positional'
import { relativeKeyQuery } from '@qkv/positional/content'
import { expect, it } from 'vitest'
import { arrangements, lively, type LayerOptions } from './arrangements.ts'
import { naiveLayer } from './naive-layer.ts'
import { expectSlopes } from './slopes.ts'
import { dot, normal, tensorsHeld, valuesOf, type Subject } from './subject.ts'

/** Arrangements whose attention is another kernel: those have claims of their own, and compile slowly where a processor plays GPU. */
const otherKernels: readonly LayerOptions[] = Object.values(arrangements).filter(
  ({ sinks, window, position, gate }) =>
    sinks || window || gate === 'element' || (position && 'kind' in position && position.kind === 'score'),
)

/** What holds for the way back through a layer, on any backend. */
export function trainingClaims(subject: () => Subject): void {
  it.for(Object.entries(arrangements))(
    '%s: gradients are those of the formulas, by central differences',
    async ([, options], { skip }) => {
      const { backend } = subject()
      skip(/swiftshader|llvmpipe/i.test(backend.description) && otherKernels.includes(options), 'compiles slowly in software')
      using layer = new MultiHeadAttention({ ...options, backend, weights: lively(options) })
      const input = normal('training input', [2, 5, options.modelDim])
      const dOutput = normal('training output', input.shape)
      using result = await forwardWithGradient(layer, input)
      using output = await layer.forward(input)
      const forward = await valuesOf(subject(), output)
      // A fused projection is one product there and three here, whose sums may round otherwise.
      ;(await valuesOf(subject(), result.output)).forEach((element, index) => {
        expect(Math.abs(element - forward[index]!)).toBeLessThanOrEqual(options.fused ? 1e-5 * (1 + Math.abs(element)) : 0)
      })

      const { dInput, dMemory, weights } = await result.backward(dOutput)
      const state = await layer.state()
      expect(dMemory).toBeUndefined()
      expect(shapesOf(weights)).toEqual(shapesOf(state))
      const loss = (x: HostTensor, named: Record<string, HostTensor>): number =>
        dot(naiveLayer(x, x, layer.config, options, named).values, toFloat64(dOutput))
      await expectSlopes(subject(), dInput, input, (moved) => loss(moved, state))
      for (const [name, gradient] of Object.entries(weights)) {
        await expectSlopes(subject(), gradient, state[name]!, (moved) => loss(input, { ...state, [name]: moved }))
      }
      for (const made of [dInput, ...Object.values(weights)]) made.dispose()
    },
  )

  it.each([false, true])('cross-attention (fused: %s) passes gradients back to its memory', async (fused) => {
    const { backend } = subject()
    const options: LayerOptions = { modelDim: 12, heads: 3, fused, bias: true, ...(fused ? {} : { memoryDim: 7 }) }
    using layer = new MultiHeadAttention({ ...options, backend, weights: lively(options) })
    const [input, memory] = [normal('training input', [2, 3, 12]), normal('memory', [2, 5, layer.config.memoryDim])]
    const dOutput = normal('training output', input.shape)
    using result = await forwardWithGradient(layer, input, { memory })
    const { dInput, dMemory, weights } = await result.backward(dOutput)
    const state = await layer.state()
    const loss = (x: HostTensor, y: HostTensor, named = state): number =>
      dot(naiveLayer(x, y, layer.config, options, named).values, toFloat64(dOutput))
    await expectSlopes(subject(), dInput, input, (moved) => loss(moved, memory))
    await expectSlopes(subject(), dMemory!, memory, (moved) => loss(input, moved))
    for (const [name, gradient] of Object.entries(weights)) {
      await expectSlopes(subject(), gradient, state[name]!, (moved) => loss(input, memory, { ...state, [name]: moved }))
    }
    for (const made of [dInput, dMemory!, ...Object.values(weights)]) made.dispose()
  })

  it('gives the gradients of what stacked encodings learn', async () => {
    const { backend } = subject()
    const table = normal('training buckets', [8, 3])
    const position = (moved: HostTensor) => [rotary({ dim: 4 }), t5Bias({ table: moved, maxDistance: 16 })]
    const options: LayerOptions = { modelDim: 12, heads: 3, position: position(table) }
    using layer = new MultiHeadAttention({ ...options, backend, weights: lively(options) })
    const input = normal('training input', [1, 6, 12])
    const dOutput = normal('training output', input.shape)
    using result = await forwardWithGradient(layer, input)
    const { dInput, weights, captured } = await result.backward(dOutput)
    const state = await layer.state()
    await expectSlopes(subject(), captured.get(table)!, table, (moved) =>
      dot(naiveLayer(input, input, layer.config, { ...options, position: position(moved) }, state).values, toFloat64(dOutput)),
    )
    for (const made of [dInput, ...Object.values(weights), ...captured.values()]) made.dispose()
  })

  it('follows every option of a call, and an input that lives on the backend', async () => {
    const { backend } = subject()
    const table = normal('training distances', [13, 4], 0.5)
    const position = [rotary({ dim: 4 }), relativeKeyQuery({ table })]
    using layer = new MultiHeadAttention({ backend, modelDim: 12, heads: 3, causal: true, position, seed: 8 })
    const input = normal('training input', [2, 5, 12])
    const bias = normal('training bias', [3, 1, 5])
    const dOutput = normal('training output', input.shape)
    const options = {
      lengths: [5, 4],
      mask: maskMod(({ query, key }) => key.add(query).mod(4).ne(3)),
      score: scoreMod((score) => score.mul(1.5)),
      dropout: { probability: 0.3, seed: 4 },
      positions: { start: 3, length: 5 },
    }
    using onBackend = backend.upload(input)
    using result = await forwardWithGradient(layer, onBackend, { ...options, bias })
    const { dInput, dBias, weights, captured } = await result.backward(dOutput)
    const loss = async (x: HostTensor, added: HostTensor): Promise<number> => {
      using output = await layer.forward(x, { ...options, bias: added })
      return dot(await valuesOf(subject(), output), toFloat64(dOutput))
    }
    await expectSlopes(subject(), dInput, input, (moved) => loss(moved, bias))
    await expectSlopes(subject(), dBias!, bias, (moved) => loss(input, moved))
    expect(captured.get(table)?.shape).toEqual([13, 4])
    for (const made of [dInput, dBias!, ...Object.values(weights), ...captured.values()]) made.dispose()
  })

  it('a step against the gradient makes the loss smaller, and leaves no tensor behind', async () => {
    const { backend } = subject()
    using layer = new MultiHeadAttention({ backend, modelDim: 12, heads: 3, gate: 'head', queryKeyNorm: { kind: 'rms' } })
    const [input, target] = [normal('training input', [1, 6, 12]), normal('target', [1, 6, 12])]
    const before = await tensorsHeld(subject())
    const losses: number[] = []
    for (let step = 0; step < 3; step++) {
      using result = await forwardWithGradient(layer, input)
      const error = (await valuesOf(subject(), result.output)).map((element, index) => element - toFloat64(target)[index]!)
      losses.push(dot(error, error))
      const { dInput, weights } = await result.backward(tensor(Float32Array.from(error), input.shape))
      dInput.dispose()
      for (const [name, gradient] of Object.entries(weights)) {
        using taken = backend.multiply(gradient, tensor([-0.01], [1]))
        using moved = backend.add(layer.weight(name)!, taken)
        backend.copy(moved, layer.weight(name)!)
        gradient.dispose()
      }
    }
    expect(losses[1]).toBeLessThan(losses[0]!)
    expect(losses[2]).toBeLessThan(losses[1]!)
    expect(await tensorsHeld(subject())).toBe(before)
  })

  it('refuses what does not fit', async () => {
    const { backend } = subject()
    using layer = new MultiHeadAttention({ backend, modelDim: 12, heads: 3 })
    const input = normal('training input', [1, 6, 12])
    await expect(forwardWithGradient(layer, normal('wide', [1, 6, 13]))).rejects.toThrow(
      'forwardWithGradient: input must be […,…,12]; received [1,6,13]',
    )
    await expect(forwardWithGradient(layer, input, { positions: [0] })).rejects.toThrow('positions must be absent')
    using result = await forwardWithGradient(layer, input)
    await expect(result.backward(normal('wide', [1, 6, 13]))).rejects.toThrow('dOutput must be [1,6,12]; received [1,6,13]')
  })
}

function shapesOf(named: Readonly<Record<string, Tensor>>): Record<string, readonly number[]> {
  return Object.fromEntries(Object.entries(named).map(([name, { shape }]) => [name, shape]))
}
