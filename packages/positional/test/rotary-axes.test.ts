import { QkvError, tensor, toFloat64, type HostTensor } from '@qkv/core'
import { axialRotary, gridPositions, mixedRotary, multimodalRotary, rotary, type RotaryEncoding } from '@qkv/positional'
import { describe, expect, test } from 'vitest'
import { host, rotate } from './support/rotate.ts'

/** By how much each pair turns for a step along one axis. */
function turns(encoding: RotaryEncoding, axis: number): number[] {
  const step = Int32Array.from({ length: encoding.axes }, (_, a) => (a === axis ? 1 : 0))
  const { cos, sin } = encoding.table(tensor(step, [encoding.axes, 1, 1]), 'query', 2)
  return Array.from(host(cos).storage, (x, pair) => Math.atan2(host(sin).storage[pair]!, x))
}

/** The letter of the axis that each pair turns with. */
function axesOf(encoding: RotaryEncoding, letters: string): string {
  const byAxis = [...letters].map((_, axis) => turns(encoding, axis))
  return byAxis[0]!.map((_, pair) => letters[byAxis.findIndex((turn) => turn[pair] !== 0)]!).join('')
}

describe('multimodal rotary', () => {
  /** What the models' `recomposition_frequencies` in Hugging Face transformers 5.18.0 do to numbered frequencies. */
  test.each([
    ['chunked', [16, 24, 24], 't'.repeat(16) + 'h'.repeat(24) + 'w'.repeat(24)],
    ['interleaved', [24, 20, 20], 'thw'.repeat(20) + 'tttt'],
    ['spatial-first', [20, 22, 22], 'hw'.repeat(22) + 't'.repeat(20)],
  ] as const)(
    '%s sections give each pair the axis that Qwen2-VL, Qwen3-VL or Ernie 4.5 VL gives it',
    (order, sections, expected) => {
      expect(axesOf(multimodalRotary({ dim: 128, sections, order, base: 1000000 }), 'thw')).toBe(expected)
    },
  )

  test.each(['chunked', 'interleaved', 'spatial-first'] as const)(
    'for text, whose numbers are equal, it is plain rotary: %s',
    (order) => {
      const scaling = { type: 'yarn', factor: 4, original_max_position_embeddings: 64 } as const
      const encoding = multimodalRotary({ dim: 16, sections: [4, 2, 2], order, layout: 'interleaved', ...scaling })
      const plain = rotary({ dim: 16, layout: 'interleaved', ...scaling })
      const text = tensor(Int32Array.of(5, 6, 5, 6, 5, 6), [3, 1, 2])
      expect(encoding.table(text).cos).toEqual({ ...plain.table([5, 6]).cos, shape: [1, 1, 2, 8], strides: [16, 16, 8, 1] })
      expect(encoding.table([5, 6])).toEqual(plain.table([5, 6]))
    },
  )
})

describe('axial rotary', () => {
  test('turns one part with the row and another with the column', () => {
    expect(axesOf(axialRotary({ dims: [8, 8] }), 'yx')).toBe('yyyyxxxx')
    expect(axesOf(axialRotary({ dims: [4, 6, 6], layout: 'interleaved' }), 'tyx')).toBe('ttyyyxxx')
  })

  /** Of Qwen3-VL and Pixtral: computed by Hugging Face transformers 5.18.0 (over NumPy, in float32), for head dim 16. */
  test.each([
    ['own', [1, 0.1, 0.01, 0.001], [1, 0.1, 0.01, 0.001]],
    ['dealt', [1, 0.1, 0.01, 0.001], [0.3162278, 0.03162278, 0.003162278, 0.0003162278]],
  ] as const)('has %s frequencies, by rows %s and by columns %s', (frequencies, rows, columns) => {
    const encoding = axialRotary({ dims: [8, 8], frequencies })
    rows.forEach((theta, pair) => expect(turns(encoding, 0)[pair]).toBeCloseTo(theta, 7))
    columns.forEach((theta, pair) => expect(turns(encoding, 1)[pair + 4]).toBeCloseTo(theta, 7))
  })

  test('moving an image moves no score', () => {
    const encoding = axialRotary({ dims: [4, 4] })
    const [q, k] = [vector('q', 8), vector('k', 8)]
    const score = (queryAt: number[], keyAt: number[]): number => {
      const [a, b] = [at(encoding, q, queryAt), at(encoding, k, keyAt)]
      return a.reduce((sum, value, c) => sum + value * b[c]!, 0)
    }
    expect(score([3 + 900, 5 + 77], [1 + 900, 9 + 77])).toBeCloseTo(score([3, 5], [1, 9]), 6)
    expect(score([3, 5], [1, 8])).not.toBeCloseTo(score([3, 5], [1, 9]), 2)
  })
})

describe('mixed rotary', () => {
  test('turns each head’s pairs by a sum over the axes', () => {
    const frequencies = tensor([0.5, 0.25, -1, 2, 0.125, 0, 3, 1], [2, 2, 2])
    const { cos, sin } = mixedRotary({ frequencies }).table(tensor([3, 4], [2, 1, 1], { dtype: 'int32' }))
    // Heads, then pairs: θʸ · 3 + θˣ · 4.
    const angles = [0.5 * 3 - 1 * 4, 0.25 * 3 + 2 * 4, 0.125 * 3 + 3 * 4, 0 * 3 + 1 * 4]
    expect(cos.shape).toEqual([1, 2, 1, 2])
    angles.forEach((angle, i) => {
      expect(host(cos).storage[i]).toBeCloseTo(Math.cos(angle), 6)
      expect(host(sin).storage[i]).toBeCloseTo(Math.sin(angle), 6)
    })
  })
})

describe('positions of patches', () => {
  test('count rows and columns', () => {
    const { shape, storage } = gridPositions([2, 3])
    expect(shape).toEqual([2, 1, 6])
    expect([...storage]).toEqual([0, 0, 0, 1, 1, 1, 0, 1, 2, 0, 1, 2])
  })

  test('and frames', () => {
    expect([...gridPositions([2, 1, 2]).storage]).toEqual([0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1])
  })
})

describe('refusals name what is wrong', () => {
  const argument = (build: () => unknown): string => {
    try {
      build()
    } catch (error) {
      if (QkvError.is(error)) return error.argument
      throw error
    }
    return 'nothing'
  }

  test.each([
    ['sections', () => multimodalRotary({ dim: 16, sections: [4, 2, 1] })],
    ['sections', () => multimodalRotary({ dim: 16, sections: [4.5, 1.5, 2] })],
    ['sections', () => multimodalRotary({ dim: 16, sections: [10, -2] })],
    ['dim', () => multimodalRotary({ dim: 15, sections: [4, 2, 2] })],
    ['order', () => multimodalRotary({ dim: 16, sections: [4, 2, 2], order: 'random' as 'chunked' })],
    ['type', () => multimodalRotary({ dim: 16, sections: [4, 2, 2], type: 'mrope' as 'default' })],
    ['dims[1]', () => axialRotary({ dims: [4, 3] })],
    ['dims', () => axialRotary({ dims: [] })],
    ['base', () => axialRotary({ dims: [4, 4], base: 0 })],
    ['frequencies', () => axialRotary({ dims: [4, 8], frequencies: 'dealt' })],
    ['frequencies', () => mixedRotary({ frequencies: tensor([1, 2], [2]) })],
    ['positions', () => axialRotary({ dims: [4, 4] }).table(tensor(new Int32Array(6), [3, 1, 2]))],
    ['positions[4]', () => axialRotary({ dims: [4, 4] }).table(tensor([0, 1, 2, 3, 2e9, 5], [2, 1, 3], { dtype: 'int32' }))],
    ['sizes[0]', () => gridPositions([1.5])],
  ])('%s', (expected, build) => {
    expect(argument(build)).toBe(expected)
  })
})

function vector(name: string, dim: number): HostTensor {
  return tensor(
    Float32Array.from({ length: dim }, (_, i) => Math.sin(i * 7 + name.length + name.charCodeAt(0))),
    [1, 1, 1, dim],
  )
}

function at(encoding: RotaryEncoding, x: HostTensor, position: readonly number[]): Float64Array {
  return rotate(x, encoding.table(tensor(Int32Array.from(position), [position.length, 1, 1])))
}

test('tables of a batch keep its sequences apart', () => {
  const positions = tensor(Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7), [2, 2, 2])
  const { cos } = axialRotary({ dims: [2, 2] }).table(positions)
  expect(cos.shape).toEqual([2, 1, 2, 2])
  const expected = [
    [0, 4],
    [1, 5],
    [2, 6],
    [3, 7],
  ].flatMap(([row, column]) => [Math.cos(row!), Math.cos(column!)])
  ;[...toFloat64(host(cos))].forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 6))
})
