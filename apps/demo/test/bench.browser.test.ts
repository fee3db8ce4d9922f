import { readFileSync } from 'node:fs'
import { serveBuilt, withPage } from '@qkv/testing/browser'
import { expect, test } from 'vitest'

test('the benchmark page measures a chosen case against other libraries and saves it as JSON', { timeout: 240_000 }, async () => {
  const site = await serveBuilt(new URL('..', import.meta.url))
  try {
    await withPage(`${site.url}bench.html`, async (page) => {
      const chosen = page.locator('fieldset input:checked')
      while ((await chosen.count()) > 0) await chosen.first().uncheck()
      await page.getByRole('checkbox', { name: 'full-32/16' }).check()
      await page.getByRole('button', { name: 'Run 1 case' }).click()
      await page.getByText('Done.').waitFor({ timeout: 200_000 })

      const row = (peer: string) => page.getByRole('row', { name: new RegExp(`^${peer}`) })
      expect(await row('qkv/cpu').innerText()).toMatch(/exact/)
      for (const peer of ['onnxruntime-web/wasm', 'tensorflow.js/wasm', 'jax-js/wasm', 'plain-loop']) {
        expect(await row(peer).innerText(), peer).toMatch(/[\d.]+× \([\d.]+–[\d.]+\)/)
      }

      const download = page.waitForEvent('download')
      await page.getByRole('button', { name: 'Save as JSON' }).click()
      const report = JSON.parse(readFileSync(await (await download).path(), 'utf8'))
      expect(report).toMatchObject({ version: 2, cases: [{ bench: { id: 'small/full-32/16' } }] })
      expect(report.cases[0].rows[0]).toMatchObject({ peer: 'qkv/cpu', status: 'measured', agreement: { right: true } })
    })
  } finally {
    await site.close()
  }
})
