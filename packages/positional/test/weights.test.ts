import { tensor, toFloat64, type HostTensor } from '@qkv/core'
import { convertRotaryWeight, rotary } from '@qkv/positional'
import { describe, expect, test } from 'vitest'
import { floats } from './claims/scores.ts'
import { rotate } from './support/rotate.ts'

const [heads, headDim, inputs] = [3, 10, 4]

/** x times the transpose of a weight, as heads: [1, heads, 1, headDim]. */
function project(weight: HostTensor, x: readonly number[]): HostTensor {
  const rows = toFloat64(weight)
  const values = Float32Array.from({ length: heads * headDim }, (_, row) =>
    x.reduce((sum, value, c) => sum + value * rows[row * inputs + c]!, 0),
  )
  return tensor(values, [1, heads, 1, headDim])
}

describe.each([undefined, 4])('with %s elements turning', (dim) => {
  const options = { heads, dim }
  const [wq, wk] = [floats('wq', [heads * headDim, inputs]), floats('wk', [heads * headDim, inputs])]

  test.each([
    ['interleaved', 'half'],
    ['half', 'interleaved'],
  ] as const)('weights of %s layout, converted to %s, give the same scores', (from, to) => {
    const scores = (layout: 'half' | 'interleaved', q: HostTensor, k: HostTensor): number[] => {
      const encoding = rotary({ dim: dim ?? headDim, layout })
      const a = rotate(project(q, [1, -2, 3, 0.5]), encoding.table([19]))
      const b = rotate(project(k, [0.3, 2, -1, 1]), encoding.table([4]))
      return [0, 1, 2].map((head) =>
        a.subarray(head * headDim, (head + 1) * headDim).reduce((sum, value, c) => sum + value * b[head * headDim + c]!, 0),
      )
    }
    const expected = scores(from, wq, wk)
    const converted = [wq, wk].map((weight) => convertRotaryWeight(weight, { ...options, to })) as [HostTensor, HostTensor]
    scores(to, ...converted).forEach((score, head) => expect(score).toBeCloseTo(expected[head]!, 5))
    expect(scores(to, wq, wk)[0]).not.toBeCloseTo(expected[0]!, 2)
  })

  test('and back again they are as before, bit for bit', () => {
    const there = convertRotaryWeight(wq, { ...options, to: 'interleaved' })
    expect(convertRotaryWeight(there, { ...options, to: 'half' })).toEqual(wq)
  })
})

test('rows go where Meta’s and Hugging Face’s Llama have them', () => {
  const bias = tensor([0, 1, 2, 3, 4, 5, 6, 7], [8])
  expect([...convertRotaryWeight(bias, { heads: 1, to: 'half' }).storage]).toEqual([0, 2, 4, 6, 1, 3, 5, 7])
  expect([...convertRotaryWeight(bias, { heads: 2, to: 'interleaved' }).storage]).toEqual([0, 2, 1, 3, 4, 6, 5, 7])
})

test('halves and weights of any strides are converted as they are', () => {
  const transposed = tensor(
    Uint16Array.from({ length: 8 }, (_, i) => i),
    [4, 2],
    { dtype: 'bfloat16', strides: [1, 4] },
  )
  const converted = convertRotaryWeight(transposed, { heads: 1, to: 'half' })
  expect(converted).toMatchObject({ dtype: 'bfloat16', shape: [4, 2] })
  expect([...converted.storage]).toEqual([0, 4, 2, 6, 1, 5, 3, 7])
})

test('a weight whose rows are not whole heads is refused', () => {
  expect(() => convertRotaryWeight(floats('w', [9, 2]), { heads: 2, to: 'interleaved' })).toThrow(
    'convertRotaryWeight: weight must be [2·headDim, inputs] or [2·headDim]; received [9,2]',
  )
})
