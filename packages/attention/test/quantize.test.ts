import { problem, reference, toFloat64 } from '@qkv/core'
import { cachedAttention, KeyValueCache } from '@qkv/attention'
import { createCpuBackend } from '@qkv/cpu'
import { expect, it } from 'vitest'
import { normal, outputOf } from './claims/subject.ts'

const heads = 2
const dim = 32
const length = 40
const k = normal('quantised k', [1, heads, length, dim], 3)
const v = normal('quantised v', [1, heads, length, dim], 3)
const q = normal('quantised q', [1, heads, 1, dim])

it.each([
  ['int8', 127],
  ['int4', 7],
] as const)('%s elements are off by half their scale at most, which is the largest of 8 over %i', async (dtype, levels) => {
  using backend = await createCpuBackend()
  using cache = new KeyValueCache({ backend, heads, headDim: dim, dtype, groupSize: 8 })
  await cache.append(k, v)
  const { stored } = await cache.save()
  for (const [exact, values, scales] of [
    [k, stored.key, stored.keyScales!],
    [v, stored.value, stored.valueScales!],
  ] as const) {
    const codes = toFloat64(values)
    const factors = toFloat64(scales)
    const elements = toFloat64(exact)
    let worst = 0
    elements.forEach((element, index) => {
      const byte = codes[index >> 1]!
      const code = dtype === 'int8' ? codes[index]! : (index % 2 === 0 ? byte & 15 : byte >> 4) - 8
      const scale = factors[Math.floor(index / 8)]!
      const group = elements.subarray(index - (index % 8), index - (index % 8) + 8)
      expect(scale).toBeCloseTo(Math.max(...group.map(Math.abs)) / levels, 6)
      worst = Math.max(worst, Math.abs(code * scale - element) / scale)
    })
    expect(worst).toBeLessThan(0.5 + 1e-4)
    expect(worst).toBeGreaterThan(0.4)
  }
})

it.each(['int8', 'int4'] as const)('%s outputs are within what the elements’ errors allow', async (dtype) => {
  using backend = await createCpuBackend()
  using cache = new KeyValueCache({ backend, heads, headDim: dim, dtype, groupSize: 8 })
  await cache.append(k, v)
  const actual = await outputOf({ backend, platform: 'cpu' }, cachedAttention(q, cache))
  const exact = reference(problem(q, k, v))
  const { stored } = await cache.save()
  const [keyScales, valueScales, queries, values] = [stored.keyScales!, stored.valueScales!, q, v].map((view) =>
    toFloat64(view),
  ) as [Float64Array, Float64Array, Float64Array, Float64Array]
  for (let head = 0; head < heads; head++) {
    const own = (all: Float64Array, each: number): Float64Array => all.subarray(head * each, (head + 1) * each)
    // No score is off by more than δ = scale · Σ |q| · (key scale)/2, so no weight by more than a factor of e^2δ.
    const query = own(queries, dim)
    const errors = Array.from(
      { length },
      (_, j) =>
        query.reduce((sum, element, c) => sum + (Math.abs(element) * own(keyScales, length * 4)[j * 4 + (c >> 3)]!) / 2, 0) /
        Math.sqrt(dim),
    )
    const factor = Math.exp(2 * Math.max(...errors)) - 1
    for (let c = 0; c < dim; c++) {
      const column = Array.from({ length }, (_, j) => own(values, length * dim)[j * dim + c]!)
      const spread = Math.max(...column) - Math.min(...column)
      const step = Math.max(...Array.from({ length }, (_, j) => own(valueScales, length * 4)[j * 4 + (c >> 3)]!)) / 2
      expect(Math.abs(actual[head * dim + c]! - exact.output[head * dim + c]!)).toBeLessThan(factor * spread + step + 1e-5)
    }
  }
  const errors = actual.map((element, index) => element - exact.output[index]!)
  const relative = Math.hypot(...errors) / Math.hypot(...exact.output)
  expect(relative).toBeLessThan(dtype === 'int8' ? 0.02 : 0.35)
  expect(relative).toBeGreaterThan(1e-4)
})
