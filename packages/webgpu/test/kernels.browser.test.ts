import { drawTokens } from '@qkv/testing'
import { serveSource, withPage, type Site } from '@qkv/testing/browser'
import type { WebGpuOptions } from '@qkv/webgpu'
import { afterAll, beforeAll, expect, test } from 'vitest'

/** What `page/main.ts` puts there. */
declare function worstErrors(profile: WebGpuOptions['profile'], tokens: readonly string[]): Promise<number[]>

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
