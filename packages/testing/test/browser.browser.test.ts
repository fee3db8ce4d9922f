import { expect, test } from 'vitest'
import { serveSource, withPage } from '../src/browser.ts'

const pages = new URL('page/', import.meta.url)

test('a page runs the sources of packages', async () => {
  const site = await serveSource(pages)
  await withPage(site.url, (page) => page.waitForFunction(() => document.title === '2,3'))
  await site.close()
})

test('a page has WebGPU, and shared memory where it is isolated', async () => {
  const site = await serveSource(pages)
  await withPage(site.url, async (page) => {
    const adapter = await page.evaluate(async () => (await navigator.gpu.requestAdapter())?.info.architecture)
    expect(adapter).toBe('swiftshader')
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
  })
  await site.close()
  const open = await serveSource(pages, { isolated: false })
  await withPage(open.url, async (page) => expect(await page.evaluate(() => crossOriginIsolated)).toBe(false))
  await open.close()
})

test('an error in the page fails the test that did not look', async () => {
  const site = await serveSource(pages)
  const fails = withPage(site.url, async (page) => {
    await page.evaluate(() => console.error('lost'))
  })
  await expect(fails).rejects.toThrow('lost')
  await site.close()
})
