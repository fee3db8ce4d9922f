import { float32ToFloat16, problem, tensor, type Backend, type Tensor } from '@qkv/core'
import { reference } from '@qkv/core/reference'
import { expectWithinBound, random } from '@qkv/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCpuBackend } from '../src/backend.ts'

const keyLength = 150
const headDim = 16

/** Decoding multiplies halves where they lie, which finite ones of ordinary size allow. */
describe.each([
  ['one row', 1],
  ['a group of four', 4],
  ['a group of seven', 7],
])('float16 keys and values, %s', (_, group) => {
  let backend: Backend
  beforeAll(async () => {
    backend = await createCpuBackend({ engine: 'wasm', threads: 1 })
  })
  afterAll(() => backend.dispose())

  test('a query element of any size is harmless where keys are 0', async () => {
    for (const exponent of [-120, 0, 63, 64, 120]) {
      const { mistrusted } = await expectDecoded(`2^${exponent}`, (name, elements) => {
        for (let i = 0; i < elements.length; i += headDim) elements[i] = name === 'query' ? 2 ** exponent : 0
      })
      expect(mistrusted).toBe(false)
    }
  })

  test.each(['key', 'value'])('one infinite or NaN %s among finite ones counts as what it is', async (where) => {
    for (const element of [Infinity, -Infinity, NaN]) {
      for (const position of [0, 63, 64, keyLength - 1]) {
        await expectDecoded(`${element} at ${position}`, (name, elements) => {
          if (name === where) elements[position * headDim + 3] = element
        })
      }
    }
  })

  async function expectDecoded(
    token: string,
    change: (name: string, elements: Float32Array) => void,
  ): Promise<ReturnType<typeof expectWithinBound>> {
    const draw = random(7)
    const drawn = (name: string, length: number): Float32Array => {
      const elements = Float32Array.from({ length }, () => draw.normal())
      change(name, elements)
      return elements
    }
    const shape = [1, group, 1, headDim]
    const halves = (name: string): Tensor =>
      tensor(Uint16Array.from(drawn(name, keyLength * headDim), float32ToFloat16), [1, 1, keyLength, headDim], { dtype: 'float16' })
    const asked = problem(tensor(drawn('query', group * headDim), shape), halves('key'), halves('value'))
    const { output } = backend.attention(asked)
    const actual = await backend.read(output)
    output.dispose()
    const { output: values, bound } = reference(asked)
    return expectWithinBound(Array.from(actual, Number), { values, bound }, { name: 'output', shape, token })
  }
})
