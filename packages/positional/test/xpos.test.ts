import { tensor, type HostTensor } from '@qkv/core'
import { rotary, xpos } from '@qkv/positional'
import { expect, test } from 'vitest'
import { rotate } from './support/rotate.ts'

const dim = 8
const [q, k] = [1, 2].map((seed) =>
  tensor(
    Float32Array.from({ length: dim }, (_, i) => Math.sin(i * 5 + seed)),
    [1, 1, 1, dim],
  ),
) as [HostTensor, HostTensor]
const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, c) => sum + value * b[c]!, 0)

test('each pair’s part of a score fades by ζ for every γ positions of distance', () => {
  const [encoding, plain] = [xpos({ dim, scaleBase: 64 }), rotary({ dim, layout: 'interleaved' })]
  for (const [i, j] of [
    [100, 100],
    [100, 36],
    [500, 3],
  ] as const) {
    let expected = 0
    const [a, b] = [rotate(q, plain.table([i])), rotate(k, plain.table([j]))]
    for (let pair = 0; pair < dim / 2; pair++) {
      const zeta = ((2 * pair) / dim + 0.4) / 1.4
      expected += zeta ** ((i - j) / 64) * (a[2 * pair]! * b[2 * pair]! + a[2 * pair + 1]! * b[2 * pair + 1]!)
    }
    expect(dot(rotate(q, encoding.table([i], 'query')), rotate(k, encoding.table([j], 'key')))).toBeCloseTo(expected, 5)
  }
})

test('scores follow differences of positions alone', () => {
  const encoding = xpos({ dim })
  const score = (i: number, j: number): number =>
    dot(rotate(q, encoding.table([i], 'query')), rotate(k, encoding.table([j], 'key')))
  expect(score(9000, 8900)).toBeCloseTo(score(100, 0), 5)
  expect(score(-9000, -9100)).toBeCloseTo(score(100, 0), 5)
})

test('a cached key that is shifted fades as one at its new place', () => {
  const encoding = xpos({ dim })
  const cached = tensor(Float32Array.from(rotate(k, encoding.table([700], 'key'))), k.shape)
  const moved = rotate(cached, encoding.shift(-400))
  rotate(k, encoding.table([300], 'key')).forEach((value, c) => expect(moved[c]).toBeCloseTo(value, 5))
})

test('positions whose factors float32 cannot hold are refused', () => {
  expect(() => xpos({ dim }).table([27195])).not.toThrow()
  expect(() => xpos({ dim }).table([0, 27196])).toThrow(
    /xpos: positions\[1\] must be a number from −27195 to 27195; received 27196/,
  )
})
