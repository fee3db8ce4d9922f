import { permute, problem, slice, zeros, type Backend, type HostTensor, type ProblemOptions, type Tensor } from '@qkv/core'
import { reference } from '@qkv/core/reference'
import { expectWithinBound, random } from '@qkv/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCpuBackend } from '../src/backend.ts'

const options: readonly ProblemOptions[] = [{}, { causal: true }, { window: { left: 70, right: 3 } }, { causal: true, softcap: 5 }]

/** Few rows take keys and values where they lie, if these are float32 without gaps; others are packed. */
describe('keys and values', () => {
  let backend: Backend
  beforeAll(async () => {
    backend = await createCpuBackend({ engine: 'wasm', threads: 1 })
  })
  afterAll(() => backend.dispose())

  test.each([4, 5, 63, 64, 65, 131])('give the same bits where they lie and packed, %i of them', async (keyLength) => {
    for (const [headDim, valueDim] of [
      [8, 8],
      [20, 40],
      [64, 64],
      [128, 16],
    ] as const) {
      for (const queryLength of [8, 16, 24, 120]) {
        const query = drawn('query', [1, 2, queryLength, headDim])
        const key = drawn('key', [1, 2, keyLength, headDim])
        const value = drawn('value', [1, 2, keyLength, valueDim])
        for (const option of options) {
          const lying = await attended(problem(query, key, value, option))
          const packed = await attended(problem(query, columnsFirst(key), columnsFirst(value), option))
          expect(packed).toEqual(lying)
        }
      }
    }
  })

  test.each([1, 2, 3, 4, 5, 7])('are within the bound for a last panel of %i rows', async (last) => {
    for (const [headDim, valueDim] of [
      [4, 32],
      [30, 36],
      [64, 72],
    ] as const) {
      for (const keyLength of [1, 3, 6, 67]) {
        for (const option of options) {
          const shape = [1, 1, 16 + last, valueDim]
          const asked = problem(
            drawn('query', [1, 1, 16 + last, headDim]),
            drawn('key', [1, 1, keyLength, headDim]),
            drawn('value', [1, 1, keyLength, valueDim]),
            option,
          )
          const { output: values, bound } = reference(asked)
          const token = `${headDim} and ${valueDim} wide, ${keyLength} keys, ${JSON.stringify(option)}`
          expectWithinBound(await attended(asked), { values, bound }, { name: 'output', shape, token })
        }
      }
    }
  })

  test('give a row the same bits, however many rows are asked for with it', async () => {
    for (const [headDim, valueDim] of [
      [16, 12],
      [30, 36],
      [64, 64],
    ] as const) {
      const query = drawn('query', [1, 1, 140, headDim])
      const key = drawn('key', [1, 1, 70, headDim])
      const value = drawn('value', [1, 1, 70, valueDim])
      const all = await attended(problem(query, key, value))
      for (const rows of [9, 10, 11, 12, 13, 16, 17, 33, 65, 129]) {
        const some = await attended(problem(slice(query, 2, 0, rows), key, value))
        expect(some).toEqual(all.slice(0, rows * valueDim))
      }
    }
  })

  async function attended(asked: ReturnType<typeof problem>): Promise<number[]> {
    const { output } = backend.attention(asked)
    const numbers = Array.from(await backend.read(output), Number)
    output.dispose()
    return numbers
  }
})

function drawn(name: string, shape: readonly number[]): HostTensor {
  const { normal } = random(3, name)
  const made = zeros(shape)
  made.storage.forEach((_, index) => (made.storage[index] = normal()))
  return made
}

/** The same numbers, of which those of a vector lie apart. */
function columnsFirst(view: HostTensor): Tensor {
  const [batch, heads, length, dim] = view.shape as [number, number, number, number]
  const turned = zeros([batch, heads, dim, length])
  for (let head = 0; head < heads; head++) {
    for (let j = 0; j < length; j++) {
      for (let i = 0; i < dim; i++) {
        turned.storage[(head * dim + i) * length + j] = view.storage[(head * length + j) * dim + i]!
      }
    }
  }
  return permute(turned, [0, 1, 3, 2])
}
