import { readdirSync } from 'node:fs'
import { serveBuilt, withPage } from '@qkv/testing/browser'
import { expect, test } from 'vitest'

const reports = readdirSync(new URL('../../apps/bench/results', import.meta.url)).filter((name) => name.endsWith('.json'))

test('the built site draws every report that is kept, its cases behind a click', async () => {
  const site = await serveBuilt(new URL('..', import.meta.url))
  await withPage(`${site.url}benchmarks.html`, async (page) => {
    await page.getByRole('heading', { name: 'Benchmarks', level: 1 }).waitFor()
    const sections = page.locator('section.bench:has(.machine)')
    expect(await sections.count()).toBe(reports.length)
    for (const section of await sections.all()) {
      expect(await section.locator('svg').count()).toBeGreaterThan(0)
      await section.getByText('Case by case').first().click()
      await section.getByRole('table').last().waitFor()
    }
    await page.getByRole('heading', { name: /What a cache of .* tokens holds/ }).waitFor()
  })
  await site.close()
})
