import { problem, reference, referenceGradient, tensor, type HostTensor } from '@qkv/core'
import { createCpuBackend } from '@qkv/cpu'
import { expectWithinBound } from '@qkv/testing'
import { describe, expect, test } from 'vitest'
import { floats, scoreClaims } from './claims/scores.ts'
import { differences } from './support/differences.ts'

const trained = scoreClaims.filter(({ encoding }) => encoding.parameters.length > 0)

test('tables that are learned are the encodings’ parameters', () => {
  expect(trained.map(({ name }) => name)).toEqual([
    'T5, bidirectional',
    'T5, causal',
    'KERPLE, logarithmic',
    'KERPLE, power',
    'FIRE',
    'Swin’s table',
    'BEiT’s table',
  ])
})

describe.each(trained)('$name', ({ name, encoding, heads, causal }) => {
  const length = 5
  const [query, key, value, dOutput] = ['q', 'k', 'v', 'dO'].map((part) => floats(part, [1, heads, length, 4])) as [
    HostTensor,
    HostTensor,
    HostTensor,
    HostTensor,
  ]
  const asked = problem(query, key, value, { causal, score: encoding.scoreMod })

  test('its parameters’ gradients are those of central differences', () => {
    const loss = (): number => reference(asked).output.reduce((sum, output, i) => sum + output * dOutput.storage[i]!, 0)
    const { captured } = referenceGradient(asked, dOutput)
    for (const parameter of encoding.parameters) {
      const gradient = captured.get(parameter)!.values
      differences(loss, parameter, 2 ** -11).forEach((slope, i) =>
        expect(Math.abs(slope - gradient[i]!), `${i}`).toBeLessThanOrEqual(1e-6),
      )
    }
    const largest = Math.max(...encoding.parameters.flatMap((parameter) => [...captured.get(parameter)!.values].map(Math.abs)))
    expect(largest).toBeGreaterThan(0.02)
  }, 60_000)

  test('the CPU backend gives them within the reference’s bound', async () => {
    using backend = await createCpuBackend()
    const { output, lse } = backend.attention(asked, { lse: true })
    const gradient = backend.attentionGradient(asked, { output, lse: lse! }, dOutput)
    const exact = referenceGradient(asked, dOutput)
    for (const parameter of encoding.parameters) {
      const actual = await backend.read(gradient.captured.get(parameter)!)
      expectWithinBound(actual, exact.captured.get(parameter)!, { name, shape: parameter.shape, token: name })
    }
  })
})

test('what is trained is read at each call', () => {
  const { encoding } = trained[2]!
  const [r1] = encoding.parameters
  const asked = problem(floats('q', [1, 3, 4, 4]), floats('k', [1, 3, 4, 4]), floats('v', [1, 3, 4, 4]), {
    score: encoding.scoreMod,
  })
  const before = reference(asked).output
  const old = r1!.storage.slice()
  r1!.storage.fill(0)
  expect(reference(asked).output).not.toEqual(before)
  r1!.storage.set(old)
  expect(reference(asked).output).toEqual(before)
  expect(r1).toEqual(tensor(old, [3]))
})
