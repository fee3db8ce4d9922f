import { drawTokens } from '@qkv/testing'
import { serveSource, withPage, type Site } from '@qkv/testing/browser'
import type { WebGpuOptions } from '@qkv/webgpu'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { wholeNumbers } from './page/whole-numbers.ts'

/** What `page/main.ts` puts there. */
declare function worstErrors(profile: WebGpuOptions['profile'], tokens: readonly string[]): Promise<number[]>
declare function worstGradientErrors(profile: WebGpuOptions['profile'], tokens: readonly string[]): Promise<number[]>
declare function layersOf(
  rows: number,
  dim: number,
): Promise<Readonly<Record<'multiplied' | 'rotated' | 'codes' | 'scales', readonly number[]>>>

let site: Site
beforeAll(async () => {
  site = await serveSource(new URL('./page/', import.meta.url))
})
afterAll(() => site.close())

const limits = { work: 2 ** 14, including: ['quantised', 'dropout'] } as const
const plain = 'attention|float32/float32|b1 h2/1 q70 k90 d32 v32|normal|plain|causal=lower-right|7'

test.each([
  ['a row per invocation', { software: true }, drawTokens({ count: 12, seed: 11, limits })],
  ['decode', { software: false }, drawTokens({ count: 3, seed: 12, limits: { ...limits, queryLength: 1 } })],
  ['tiles', { software: false, workgroupBytes: 16384 }, [plain]],
] as const)(
  'in a page, %s stays within its bounds',
  async (_, profile, tokens) => {
    const errors = await withPage(site.url, async (page) => {
      await page.waitForFunction(() => 'worstErrors' in globalThis)
      return page.evaluate(([profile, tokens]) => worstErrors(profile, tokens), [profile, [...tokens]] as const)
    })
    expect(errors).toHaveLength(tokens.length)
    for (const [index, error] of errors.entries()) expect(error, tokens[index]).toBeLessThanOrEqual(1)
  },
  300_000,
)

test('in a page, gradients stay within their bounds', async () => {
  const tokens = drawTokens({ count: 4, seed: 13, limits: { work: 2 ** 13, dtypes: ['float32'] } })
  const errors = await withPage(site.url, async (page) => {
    await page.waitForFunction(() => 'worstGradientErrors' in globalThis)
    return page.evaluate((tokens) => worstGradientErrors({ software: true }, tokens), [...tokens])
  })
  expect(errors).toHaveLength(4)
  for (const [index, error] of errors.entries()) expect(error, tokens[index]).toBeLessThanOrEqual(1)
}, 300_000)

test('in a page, what layers make of whole numbers is exact', async () => {
  const [counts, dim] = [[1, 2, 3, 16, 21], 16]
  const results = await withPage(site.url, async (page) => {
    await page.waitForFunction(() => 'layersOf' in globalThis)
    return page.evaluate(([counts, dim]) => Promise.all(counts.map((rows) => layersOf(rows, dim))), [counts, dim] as const)
  })
  const each = (count: number, value: (index: number) => number): number[] => Array.from({ length: count }, (_, i) => value(i))
  const weight = wholeNumbers(3 * dim)
  for (const [index, rows] of counts.entries()) {
    const { multiplied, rotated, codes, scales } = results[index]!
    const vectors = wholeNumbers(rows * dim)
    const dot = (row: number, output: number): number =>
      each(dim, (c) => vectors[row * dim + c]! * weight[output * dim + c]!).reduce((sum, product) => sum + product)
    expect(multiplied).toEqual(each(3 * rows, (at) => dot(Math.floor(at / 3), at % 3)))
    const half = dim / 2 // a quarter turn takes (a, b) to (−b, a)
    const turned = each(rows * dim, (at) => (at % dim < half ? 0 - vectors[at + half]! : vectors[at - half]!))
    expect(rotated.map((x) => x + 0)).toEqual(turned)
    expect(codes).toEqual(vectors)
    expect(scales).toEqual(each(rows, () => 1))
  }
}, 300_000)
