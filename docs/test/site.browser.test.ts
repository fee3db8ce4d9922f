import { serveBuilt, withPage } from '@qkv/testing/browser'
import { expect, test } from 'vitest'

test('the built site shows block maps of real masks, without an error', async () => {
  const site = await serveBuilt(new URL('..', import.meta.url))
  await withPage(`${site.url}guide/masks-and-scores.html`, async (page) => {
    await page.getByRole('heading', { name: 'Block maps' }).waitFor()
    expect(await page.locator('figure svg').count()).toBe(6)
    expect(await page.getByRole('link', { name: 'Backends', exact: true }).count()).toBeGreaterThan(0)
  })
  await site.close()
})
