import { elementCount, permute, slice, tensor, toFloat64 } from '@qkv/core'
import { random } from '@qkv/testing'
import { expect, test } from 'vitest'
import { testBackend, valuesOf } from './support/backend.ts'

/** Floats of all exponents, some of them below the smallest normal one, and groups without any. */
function floats(count: number, seed: number): Float32Array {
  const stream = random(seed, 'floats')
  return Float32Array.from({ length: count }, (_, index) => {
    const exponent = index % 96 < 32 ? stream.integer(-149, -120) : stream.integer(-12, 3)
    return index % 96 > 90
      ? 0
      : Math.fround((stream.chance(0.5) ? 1 : -1) * 2 ** exponent * (1 + stream.integer(0, 2 ** 23) / 2 ** 23))
  })
}

const scaleOf = (group: Float32Array, levels: number): number => Math.fround(Math.max(...group.map(Math.abs)) / levels)
const codeOf = (x: number, scale: number, levels: number): number =>
  scale === 0 ? 0 : Math.max(-levels, Math.min(levels, Math.round(x / scale))) + 0

function bytes(dtype: 'int8' | 'uint8', shape: readonly number[]): Int8Array | Uint8Array {
  return new { int8: Int8Array, uint8: Uint8Array }[dtype](elementCount(shape))
}

test.each([
  ['int8', 127],
  ['uint8', 7],
] as const)(
  '%s: the same bits as float64 arithmetic gives, whatever the exponent, and nothing else is written',
  async (dtype, levels) => {
    using backend = await testBackend()
    const [batch, heads, length, dim, groups] = [2, 3, 5, 24, 4]
    const values = floats(batch * length * heads * dim, levels)
    const source = permute(tensor(values, [batch, length, heads, dim]), [0, 2, 1, 3])
    const width = dim / (dtype === 'int8' ? 1 : 2)
    // Vectors in the middle of a longer cache, that share words with their neighbours.
    const untouched = (shape: readonly number[]) => tensor(bytes(dtype, shape).fill(85), shape)
    const cache = backend.upload(untouched([batch, heads, 9, width + 3]))
    const scales = backend.empty([batch, heads, 9, groups])
    const view = slice(slice(cache, 3, 1, width + 1), 2, 2, 7)
    backend.quantize(source, view, slice(scales, 2, 2, 7))

    const codes = await valuesOf(backend, view)
    const factors = await valuesOf(backend, slice(scales, 2, 2, 7))
    const expected = Float32Array.from(toFloat64(source))
    const size = dim / groups
    factors.forEach((factor, group) => {
      const elements = expected.subarray(group * size, (group + 1) * size)
      expect(factor, `scale of group ${group}`).toBe(scaleOf(elements, levels))
      elements.forEach((x, c) => {
        const index = group * size + c
        const code = dtype === 'int8' ? codes[index]! : ((codes[index >> 1]! >> (4 * (index % 2))) & 15) - 8
        expect(code, `${x} of scale ${factor}`).toBe(codeOf(x, factor, levels))
      })
    })
    backend.copy(untouched(view.shape), view)
    expect((await valuesOf(backend, cache)).every((byte) => byte === 85)).toBe(true)
  },
)

test('codes and scales may lie in one buffer of an engine’s', async () => {
  using backend = await testBackend()
  const buffer = backend.device.createBuffer({
    size: 256,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  })
  const codes = backend.fromBuffer(buffer, [2, 8], 'int8')
  const scales = backend.fromBuffer(buffer, [2, 1], 'float32', { offset: 16 })
  const values = Float32Array.from({ length: 16 }, (_, index) => index - 6.5)
  backend.quantize(tensor(values, [2, 8]), codes, scales)
  expect([...(await valuesOf(backend, scales))]).toEqual([6.5, 8.5].map((most) => Math.fround(most / 127)))
  expect((await valuesOf(backend, codes))[0]).toBe(-127)
  buffer.destroy()
})
