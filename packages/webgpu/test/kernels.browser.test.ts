import { toFloat64 } from '@qkv/core'
import { expectWithinBound, type Limits } from '@qkv/testing'
import { serveSource, withPage, type Site } from '@qkv/testing/browser'
import { estimate, gamma, largestMagnitude, mean, productSum, sumOf, unitOf } from '@qkv/testing/suites/layers/estimate'
import type { WebGpuOptions } from '@qkv/webgpu'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { layerCase, type LayerCase, type LayerResults } from './page/layer-cases.ts'
import { problemsByKernel } from './support/problems.ts'

type Profile = WebGpuOptions['profile']
type Estimated = ReturnType<typeof sumOf>

/** What `page/main.ts` puts there. */
declare function worstErrors(profile: Profile, tokens: readonly string[], fromCache: boolean): Promise<number[]>
declare function worstGradientErrors(profile: Profile, tokens: readonly string[]): Promise<number[]>
declare function layerResults(profile: Profile, count: number): Promise<LayerResults[]>

let site: Site
beforeAll(async () => {
  site = await serveSource(new URL('./page/', import.meta.url))
})
afterAll(() => site.close())

const limits: Limits = { work: 2 ** 14, including: ['quantised', 'dropout'] }
const plain = 'attention|float32/float32|b1 h2/1 q70 k90 d32 v32|normal|plain|causal=lower-right|7'

/** Tokens of problems that few kernels solve. */
function tokensOf(seed: number, kernels: number, count: number, limits: Limits): string[] {
  return [...problemsByKernel({ kernels, each: count / kernels, seed, limits })].map(({ token }) => token)
}

function expectWithin(errors: readonly number[], tokens: readonly string[]): void {
  expect(errors).toHaveLength(tokens.length)
  for (const [index, error] of errors.entries()) expect(error, tokens[index]).toBeLessThanOrEqual(1)
}

const software = { software: true } as const
const one: Limits = { ...limits, queryLength: 1 }

test.each([
  ['a row per invocation', software, tokensOf(11, 10, 60, limits), false],
  ['a row per invocation from a cache', software, tokensOf(14, 5, 40, limits), true],
  ['decode from a cache', { software: false }, tokensOf(12, 3, 30, one), true],
  ['tiles', { software: false, workgroupBytes: 16384 }, [plain], false],
] as const)(
  'in a page, %s stays within its bounds',
  async (_, profile, tokens, fromCache) => {
    const errors = await withPage(site.url, async (page) => {
      await page.waitForFunction(() => 'worstErrors' in globalThis)
      const asked = [profile, tokens, fromCache] as const
      return page.evaluate(([profile, tokens, fromCache]) => worstErrors(profile, tokens, fromCache), asked)
    })
    expectWithin(errors, tokens)
  },
  600_000,
)

test('in a page, gradients stay within their bounds', async () => {
  const tokens = tokensOf(13, 3, 60, { work: 2 ** 13, dtypes: ['float32'] })
  const errors = await withPage(site.url, async (page) => {
    await page.waitForFunction(() => 'worstGradientErrors' in globalThis)
    return page.evaluate((tokens) => worstGradientErrors({ software: true }, tokens), tokens)
  })
  expectWithin(errors, tokens)
}, 600_000)

test('in a page, layers multiply, normalise, activate, rotate and quantise as float64 does', async () => {
  const count = 40
  const results = await withPage(site.url, async (page) => {
    await page.waitForFunction(() => 'layerResults' in globalThis)
    return page.evaluate((count) => layerResults(undefined, count), count) // by what the page's own device is
  })
  expect(results).toHaveLength(count)
  for (const [number, result] of results.entries()) expectLayers(result, layerCase(number), `case ${number}`)
}, 600_000)

/** Each operation against its formula in float64, off by no more than the roundings of float32 explain. */
function expectLayers(results: LayerResults, { rows, inputs, outputs, ...given }: LayerCase, token: string): void {
  const [x, weight, bias] = [toFloat64(given.input), toFloat64(given.weight), toFloat64(given.bias)]
  const [scale, cos, sin] = [toFloat64(given.scale), toFloat64(given.cos), toFloat64(given.sin)]
  const half = inputs / 2
  const count = 2 * rows
  const check = (name: keyof LayerResults, width: number, at: (row: number, element: number) => Estimated): void => {
    const { values, error } = estimate(count * width, (index) => at(Math.floor(index / width), index % width))
    const bound = error.map((off, index) => slack * (off + unitOf.float32 * Math.abs(values[index]!)))
    expectWithinBound(results[name], { values, bound }, { name, shape: [count, width], token, backend: 'wgsl' })
  }
  const product = (row: number, output: number): Estimated =>
    productSum(x, row * inputs, weight, output * inputs, inputs, bias[output]!)
  check('multiplied', outputs, product)
  check('activated', outputs, (row, output) => {
    const { value, error } = product(row, output)
    return { value: Math.max(0, value), error }
  })
  const roots = Array.from({ length: count }, (_, row) =>
    Math.sqrt(mean(x.subarray(row * inputs, (row + 1) * inputs).map((element) => element * element)) + 1e-5),
  )
  check('normalised', inputs, (row, c) => {
    const value = (x[row * inputs + c]! / roots[row]!) * scale[c]!
    return { value, error: gamma(inputs + 8) * Math.abs(value) }
  })
  check('rotated', inputs, (row, c) => {
    const angle = (row % rows) * half + (c % half)
    const partner = x[row * inputs + ((c + half) % inputs)]!
    return sumOf([x[row * inputs + c]! * cos[angle]!, (c < half ? -1 : 1) * partner * sin[angle]!])
  })
  check('scales', 1, (row) => {
    const value = x.subarray(row * inputs, (row + 1) * inputs).reduce(largestMagnitude, 0) / 127
    return { value, error: gamma(1) * value }
  })
  // A quotient is off by a few units in the last place: close to a tie, either neighbour is the nearest.
  const nearest = 0.5 + slack * gamma(1) * 127
  const multiples = x.map((element, index) => element / results.scales[Math.floor(index / inputs)]!)
  const codes = { values: multiples, bound: multiples.map(() => nearest) }
  expectWithinBound(results.codes, codes, { name: 'codes', shape: [count, inputs], token, backend: 'wgsl' })
}

/** As the layer suite has it: a GPU rounds in either direction, and its functions are a few units in the last place off. */
const slack = 8
