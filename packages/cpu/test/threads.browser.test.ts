import { serveSource, withPage } from '@qkv/testing/browser'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** What `page/main.ts` puts there. */
declare function tryThreads(threads: number | 'auto'): Promise<{ description: string; bits: number[]; code?: string }>

describe.each([[true], [false]])('in a page, isolated: %s', (isolated) => {
  let site: Awaited<ReturnType<typeof serveSource>>
  beforeAll(async () => {
    site = await serveSource(new URL('./page/', import.meta.url), { isolated })
  })
  afterAll(() => site.close())

  test('threads share the work, or the description says why not', async () => {
    const { one, two, auto } = await withPage(site.url, async (page) => {
      await page.waitForFunction(() => 'tryThreads' in globalThis)
      return page.evaluate(async () => ({ one: await tryThreads(1), two: await tryThreads(2), auto: await tryThreads('auto') }))
    })
    expect(one.description).toMatch(/WebAssembly, (relaxed )?SIMD, one thread/)
    expect(auto.bits).toEqual(one.bits)
    if (isolated) {
      expect(two.description).toMatch(/2 threads/)
      expect(two.bits).toEqual(one.bits)
    } else {
      expect(two.code).toBe('WORKER_FAILED')
      expect(auto.description).toMatch(/one thread \(threads need a page that is cross-origin isolated\)/)
    }
  })
})
