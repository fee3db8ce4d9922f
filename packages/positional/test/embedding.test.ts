import { tensor, toFloat64, type HostTensor } from '@qkv/core'
import { gridPositions, learned, resizeTable, sinusoidal, timestep } from '@qkv/positional'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { describe, expect, test } from 'vitest'
import { floats } from './claims/scores.ts'
import { readJson } from './support/vectors.ts'

const near = (actual: HostTensor, expected: readonly number[], allowed = 1e-6): void => {
  expect(toFloat64(actual)).toHaveLength(expected.length)
  expected.forEach((value, i) => expect(Math.abs(toFloat64(actual)[i]! - value), `${i}`).toBeLessThanOrEqual(allowed))
}

describe('sinusoidal', () => {
  const keras = sharedFolder('vectors/keras')

  test.skipIf(keras === undefined)('is Keras’s SinePositionEncoding', () => {
    const { sine_interleaved: cases } = readJson<{ sine_interleaved: { dim: number; pos: number; expected: number[] }[] }>(
      keras ?? '',
      'golden.json',
    )
    // Cut off after five decimals, not rounded.
    for (const { dim, pos, expected } of cases) near(sinusoidal({ dim }).embed([pos]), expected, 1e-5)
    expect(cases.length).toBeGreaterThan(2)
  })

  /** Printed in Hugging Face transformers' tests of FSMT, whose table is fairseq's. */
  test('concatenated with shift 1 is tensor2tensor’s and fairseq’s, whose last frequency is 1/base', () => {
    const rows = sinusoidal({ dim: 6, layout: 'concatenated', shift: 1 }).embed([2, 3])
    near(rows, [9.093e-1, 1.9999e-2, 2.0e-4, -4.1615e-1, 9.998e-1, 1, 1.4112e-1, 2.9995e-2, 3.0e-4, -9.8999e-1, 9.9955e-1, 1], 5e-6)
  })

  /** Marian's own values, printed in Hugging Face transformers' tests of it. */
  test('and Marian’s', () => {
    const rows = toFloat64(sinusoidal({ dim: 512, layout: 'concatenated', shift: 1 }).embed([0, 1, 2]))
    const first = [0, 1, 2].flatMap((p) => Array.from(rows.slice(p * 512, p * 512 + 5)))
    const marian = [
      0, 0, 0, 0, 0, 0.84147096, 0.82177866, 0.8018049, 0.78165019, 0.76140374, 0.90929741, 0.93651021, 0.95829457, 0.97505713,
      0.98720258,
    ]
    near(tensor(first, [15]), marian, 2e-7)
  })

  test('over two axes, each has its own half of the vector', () => {
    const patches = sinusoidal({ dim: 8, layout: 'concatenated', axes: 2 }).embed(gridPositions([2, 3]))
    expect(patches.shape).toEqual([1, 6, 8])
    const row = (p: number): number[] => [Math.sin(p), Math.sin(p / 100), Math.cos(p), Math.cos(p / 100)]
    near(
      patches,
      [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
        [1, 1],
        [1, 2],
      ].flatMap(([y, x]) => [...row(y!), ...row(x!)]),
    )
  })

  test('moving on is one rotation of each pair, whatever the place', () => {
    const embed = (p: number): Float64Array => toFloat64(sinusoidal({ dim: 4 }).embed([p]))
    const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, c) => sum + value * b[c]!, 0)
    expect(dot(embed(1000), embed(1007))).toBeCloseTo(dot(embed(0), embed(7)), 5)
  })
})

describe('timestep', () => {
  /** Printed in Hugging Face diffusers' tests: columns 47 to 49 of 64 at timesteps 23, 24 and 25. */
  test.each([
    ['score-VE', { shift: 1, first: 'sin' }, [0.9646, 0.9804, 0.9892, 0.9615, 0.9787, 0.9882, 0.9582, 0.9769, 0.9872]],
    [
      'GLIDE and latent diffusion',
      { shift: 0, first: 'cos' },
      [0.3019, 0.228, 0.1716, 0.3146, 0.2377, 0.179, 0.3272, 0.2474, 0.1864],
    ],
    ['Grad-TTS', { scale: 1000 }, [-0.9801, -0.9464, -0.9349, -0.3952, 0.8887, -0.9709, 0.5299, -0.2853, -0.9927]],
  ] as const)('is that of %s', (_, options, expected) => {
    const rows = toFloat64(timestep({ dim: 64, ...options }).embed([23, 24, 25]))
    const columns = [0, 1, 2].flatMap((row) => Array.from(rows.slice(row * 64 + 47, row * 64 + 50)))
    // The source computes angles of up to 25,000 in float32.
    near(tensor(columns, [9]), expected, 'scale' in options ? 1e-3 : 5.1e-5)
  })

  test('may be a fraction, as in Flux', () => {
    near(timestep({ dim: 4, shift: 0, scale: 1000 }).embed([0.25]), [Math.sin(250), Math.sin(2.5), Math.cos(250), Math.cos(2.5)])
  })
})

describe('learned', () => {
  const table = floats('learned', [5, 3])

  test('takes a row of its table for each position, of any dtype and strides', () => {
    const rows = toFloat64(table)
    near(learned({ table }).embed([4, 0]), [...rows.slice(12, 15), ...rows.slice(0, 3)])
    near(learned({ table, offset: 2 }).embed(tensor([0, 2], [2, 1], { dtype: 'int32' })), [
      ...rows.slice(6, 9),
      ...rows.slice(12, 15),
    ])
    const transposed = tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2], { strides: [1, 3] })
    near(learned({ table: transposed }).embed([1]), [2, 5])
  })

  test.each([
    ['shared by all entries', [4, 0, 1, 1]],
    ['of their own', tensor([4, 0, 1, 1, 2, 1, 0, 3], [2, 4], { dtype: 'int32' })],
  ])('with positions %s, a table’s gradient is the adjoint of embedding', (_, positions) => {
    const { embed, gradient, parameters } = learned({ table })
    const dInput = floats('gradient of inputs', [2, 4, 3])
    const [dTable] = gradient(positions, dInput)
    expect(dTable?.shape).toEqual(table.shape)
    expect(parameters).toEqual([table])
    const vectors = toFloat64(embed(positions))
    const received = toFloat64(dInput).reduce((sum, element, at) => sum + element * vectors[at % vectors.length]!, 0)
    const given = toFloat64(dTable!).reduce((sum, element, at) => sum + element * toFloat64(table)[at]!, 0)
    expect(Math.abs(given - received)).toBeLessThan(1e-5)
    expect(sinusoidal({ dim: 4 }).gradient(positions, dInput)).toEqual([])
  })

  test('refuses positions that its table lacks', () => {
    expect(() => learned({ table }).embed([5])).toThrow(
      'learned: positions must be whole numbers from 0 to 4, within the table; received 5',
    )
    expect(() => learned({ table, offset: 2 }).embed([0.5])).toThrow('whole numbers from -2 to 2')
  })
})

describe('a resized table', () => {
  /** ONNX's test_resize_upsample_scales_cubic. */
  test('is ONNX’s Resize, cubic', () => {
    const table = tensor(
      Float32Array.from({ length: 16 }, (_, i) => i + 1),
      [16, 1],
    )
    near(
      resizeTable(table, { from: [4, 4], to: [8, 8] }),
      [
        0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375, 1.66015625, 1.95703125, 2.43359375,
        3.0625, 3.46875, 4.09765625, 4.57421875, 4.87109375, 3.56640625, 3.86328125, 4.33984375, 4.96875, 5.375, 6.00390625,
        6.48046875, 6.77734375, 6.08203125, 6.37890625, 6.85546875, 7.484375, 7.890625, 8.51953125, 8.99609375, 9.29296875,
        7.70703125, 8.00390625, 8.48046875, 9.109375, 9.515625, 10.14453125, 10.62109375, 10.91796875, 10.22265625, 10.51953125,
        10.99609375, 11.625, 12.03125, 12.66015625, 13.13671875, 13.43359375, 12.12890625, 12.42578125, 12.90234375, 13.53125,
        13.9375, 14.56640625, 15.04296875, 15.33984375, 13.31640625, 13.61328125, 14.08984375, 14.71875, 15.125, 15.75390625,
        16.23046875, 16.52734375,
      ],
    )
  })

  /** ONNX's test_resize_upsample_scales_linear. */
  test('is ONNX’s Resize, linear', () => {
    const table = tensor([1, 2, 3, 4], [4, 1])
    const expected = [1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4]
    near(resizeTable(table, { from: [2, 2], to: [4, 4], method: 'linear' }), expected)
  })

  test('of the same size is the same, and keeps its leading rows', () => {
    const table = floats('resize', [1 + 6, 2])
    near(resizeTable(table, { from: [2, 3], to: [2, 3], leading: 1 }), [...toFloat64(table)])
    expect(Array.from(toFloat64(resizeTable(table, { from: [2, 3], to: [5, 4], leading: 1 })).slice(0, 2))).toEqual(
      Array.from(toFloat64(table).slice(0, 2)),
    )
    expect(resizeTable(table, { from: [6], to: [11], leading: 1 }).shape).toEqual([12, 2])
  })

  test.each([
    ['table', { from: [2, 2], to: [4, 4] }],
    ['to', { from: [2, 3], to: [4] }],
    ['to[0]', { from: [6], to: [0] }],
    ['method', { from: [6], to: [3], method: 'nearest' as 'cubic' }],
  ])('a wrong %s is refused', (argument, options) => {
    expect(() => resizeTable(floats('resize', [6, 2]), options)).toThrow(`resizeTable: ${argument} must be`)
  })
})

test.each([
  ['dim', () => sinusoidal({ dim: 5 })],
  ['dim / axes', () => sinusoidal({ dim: 6, axes: 2 })],
  ['layout', () => sinusoidal({ dim: 4, layout: 'half' as 'interleaved' })],
  ['shift', () => sinusoidal({ dim: 4, shift: 2 })],
  ['first', () => timestep({ dim: 4, first: 'tan' as 'sin' })],
  ['positions[0]', () => sinusoidal({ dim: 4 }).embed([Infinity])],
])('a wrong %s is refused by name', (argument, build) => {
  expect(build).toThrow(`${argument} must be`)
})
