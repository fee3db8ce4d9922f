import { serveSource, withPage, type Site } from '@qkv/testing/browser'
import { afterAll, beforeAll, expect, it } from 'vitest'

let site: Site
beforeAll(async () => {
  site = await serveSource(new URL('../', import.meta.url))
})
afterAll(() => site.close())

it.each(['gpu-buffer', 'onnxruntime', 'tfjs'])(
  'the %s example gets the same numbers both ways, from tensors that stay on the device',
  async (example) => {
    const { worst, shared } = await withPage(`${site.url}examples/${example}/index.html`, async (page) => {
      await page.waitForFunction(() => document.body.dataset['worst'] !== undefined, undefined, { timeout: 100_000 })
      return page.evaluate(() => ({ ...document.body.dataset }))
    })
    expect(Number(worst)).toBeLessThan(1e-4)
    expect(shared).toBe('true')
  },
)
