import { toFloat64, type HostTensor } from '@qkv/core'
import type { Limits } from '@qkv/testing'
import { serveSource, withPage, type Site } from '@qkv/testing/browser'
import type { WebGpuOptions } from '@qkv/webgpu'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { layerCase, type LayerCase, type LayerResults } from './page/layer-cases.ts'
import { problemsByKernel } from './support/problems.ts'

type Profile = WebGpuOptions['profile']

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
    return page.evaluate((count) => layerResults({ software: true }, count), count)
  })
  expect(results).toHaveLength(count)
  for (const [number, result] of results.entries()) expectLayers(result, layerCase(number), `case ${number}`)
}, 600_000)

function expectLayers(results: LayerResults, { rows, inputs, outputs, ...operands }: LayerCase, name: string): void {
  const numbers = (view: HostTensor): number[] => [...toFloat64(view)]
  const rowOf = (row: number): number[] => numbers(operands.input).slice(row * inputs, (row + 1) * inputs)
  const [weight, bias, scale] = [numbers(operands.weight), numbers(operands.bias), numbers(operands.scale)]
  const [cos, sin] = [numbers(operands.cos), numbers(operands.sin)]
  const half = inputs / 2

  for (let row = 0; row < 2 * rows; row++) {
    const x = rowOf(row)
    const expectClose = (actual: readonly number[], exact: readonly number[]): void =>
      exact.forEach((expected, c) => {
        const error = Math.abs(actual[row * exact.length + c]! - expected)
        expect(error, `${name}, row ${row}, element ${c}`).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(expected)))
      })
    const dot = (output: number): number => x.reduce((sum, element, c) => sum + element * weight[output * inputs + c]!, 0)
    const products = bias.map((offset, output) => dot(output) + offset)
    expectClose(results.multiplied, products)
    expectClose(
      results.activated,
      products.map((product) => Math.max(0, product)),
    )
    const root = Math.sqrt(x.reduce((sum, element) => sum + element * element, 0) / inputs + 1e-5)
    expectClose(
      results.normalised,
      x.map((element, c) => (element / root) * scale[c]!),
    )
    const turned = x.map((own, c) => {
      const angle = (row % rows) * half + (c % half)
      return own * cos[angle]! + (c < half ? -1 : 1) * x[(c + half) % inputs]! * sin[angle]!
    })
    expectClose(results.rotated, turned)
    const step = Math.fround(Math.max(...x.map(Math.abs)) / 127)
    expect(results.scales[row], name).toBe(step)
    expect(results.codes.slice(row * inputs, (row + 1) * inputs), name).toEqual(x.map((element) => Math.round(element / step) + 0))
  }
  expect(results.multiplied).toHaveLength(2 * rows * outputs)
}
