import { problem, reference, scoreMod, tensor, toFloat64, type HostTensor, type ProblemOptions } from '@qkv/core'
import { attentionWithGradient, type AttentionOptions } from '@qkv/attention'
import { alibi, rotary } from '@qkv/positional'
import { expect, it } from 'vitest'
import { normal, valuesOf, type Subject } from './subject.ts'

/** What holds for `attentionWithGradient()` on any backend. */
export function gradientClaims(subject: () => Subject): void {
  const q = normal('gradient q', [1, 4, 5, 8])
  const k = normal('gradient k', [1, 2, 7, 8])
  const v = normal('gradient v', [1, 2, 7, 6])
  const dOutput = normal('gradient of output', [1, 4, 5, 6])

  const plain: Record<string, ProblemOptions> = {
    'nothing else': {},
    'causality and a window': { causal: true, window: { left: 3 } },
    'softcap, scale, sinks and a bias': { softcap: 2, scale: 0.4, sinks: [0.1, 0.2, -1, 1], bias: normal('bias', [5, 7]) },
    'a score change': { score: scoreMod((score, { query, key }) => score.add(query.sub(key).toFloat().mul(0.1))) },
  }

  it.each(Object.entries(plain))('with %s: gradients are those of the reference, by central differences', async (_, options) => {
    const { backend } = subject()
    using result = await attentionWithGradient(q, k, v, { ...options, backend })
    const { dq, dk, dv, dBias, dSinks } = await result.backward(dOutput)
    const loss = (query: HostTensor, key: HostTensor, value: HostTensor): number => lossOf(query, key, value, options, dOutput)
    await expectGradient(subject(), dq, q, (moved) => loss(moved, k, v))
    await expectGradient(subject(), dk, k, (moved) => loss(q, moved, v))
    await expectGradient(subject(), dv, v, (moved) => loss(q, k, moved))
    const { bias, sinks } = options
    if (bias && dBias)
      await expectGradient(subject(), dBias, bias as HostTensor, (moved) => lossOf(q, k, v, { ...options, bias: moved }, dOutput))
    if (sinks && dSinks)
      await expectGradient(subject(), dSinks, tensor(sinks as number[], [4]), (moved) =>
        lossOf(q, k, v, { ...options, sinks: moved }, dOutput),
      )
    expect([dBias !== undefined, dSinks !== undefined]).toEqual([bias !== undefined, sinks !== undefined])
    for (const made of [dq, dk, dv, dBias, dSinks]) made?.dispose()
  })

  it('passes back through a rotation', async () => {
    const { backend } = subject()
    const position = rotary({ dim: 6 })
    const options: AttentionOptions = { backend, position, causal: true }
    using result = await attentionWithGradient(q, k, v, options)
    const { dq, dk, dv } = await result.backward(dOutput)
    const turned = async (view: HostTensor, start: number): Promise<HostTensor> => {
      using made = backend.rotate(view, position.table({ start, length: view.shape[2]! }))
      return tensor(await backend.read(made), made.shape)
    }
    const [turnedQuery, turnedKey] = [await turned(q, 2), await turned(k, 0)]
    // By the chain rule: the loss falls along (dq, direction) as fast as it does along the turned direction.
    const direction = normal('direction', q.shape)
    const along = dot(await valuesOf(subject(), dq), toFloat64(direction))
    const step = async (size: number): Promise<number> => {
      const turnedDirection = toFloat64(await turned(direction, 2))
      const moved = tensor(
        Float32Array.from(toFloat64(turnedQuery), (element, index) => element + size * turnedDirection[index]!),
        q.shape,
      )
      return lossOf(moved, turnedKey, v, { causal: true }, dOutput)
    }
    expect(((await step(1e-2)) - (await step(-1e-2))) / 2e-2).toBeCloseTo(along, 2)
    for (const made of [dq, dk, dv]) made.dispose()
  })

  it('gives the gradients of an encoding’s own parameters', async () => {
    const { backend } = subject()
    const position = alibi({ heads: 4 })
    if (position.kind !== 'score') throw new Error('alibi changes scores')
    using result = await attentionWithGradient(q, k, v, { backend, position })
    const { dq, dk, dv, captured } = await result.backward(dOutput)
    position.parameters.forEach((parameter) => expect(captured.get(parameter)?.shape).toEqual(parameter.shape))
    for (const made of [dq, dk, dv, ...captured.values()]) made.dispose()
  })

  it('refuses a gradient of another shape', async () => {
    using result = await attentionWithGradient(q, k, v, { backend: subject().backend })
    await expect(result.backward(q)).rejects.toThrow('attentionWithGradient: dOutput must be [1,4,5,6]; received [1,4,5,8]')
  })
}

function lossOf(q: HostTensor, k: HostTensor, v: HostTensor, options: ProblemOptions, dOutput: HostTensor): number {
  return dot(reference(problem(q, k, v, options)).output, toFloat64(dOutput))
}

/** Every element's slope by central differences, of 2⁻⁷ in float32 inputs. */
async function expectGradient(
  subject: Subject,
  gradient: Parameters<typeof valuesOf>[1],
  at: HostTensor,
  loss: (moved: HostTensor) => number,
): Promise<void> {
  const values = await valuesOf(subject, gradient)
  const before = toFloat64(at)
  expect(values.length).toBe(before.length)
  for (let index = 0; index < before.length; index += Math.max(1, Math.floor(before.length / 12))) {
    const moved = (by: number): number =>
      loss(
        tensor(
          Float32Array.from(before, (element, other) => (other === index ? element + by : element)),
          at.shape,
        ),
      )
    expect(values[index]).toBeCloseTo((moved(2 ** -7) - moved(-(2 ** -7))) / 2 ** -6, 3)
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, element, index) => sum + element * b[index]!, 0)
}
