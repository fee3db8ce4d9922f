import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serveBuilt, withPage, type Site } from '@qkv/testing/browser'
import { sharedFolder } from '@qkv/testing/shared-folder'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { currentCommit } from '../../../tooling/commit.ts'

const models = sharedFolder('models/stories260k')

describe('the benchmark page', { timeout: 240_000 }, () => {
  let site: Site
  beforeAll(async () => {
    site = await serveBuilt(new URL('..', import.meta.url))
  })
  afterAll(() => site.close())

  test('measures a chosen case against other libraries and saves it as JSON', async () => {
    await withPage(`${site.url}bench.html`, async (page) => {
      const machine = await visitorsMachine(page)
      for (const part of [`${machine.cores} cores`, machine.runtime, machine.system]) {
        await page.locator('.machine', { hasText: part }).waitFor()
      }
      await choose(page, ['full-32/16'])
      await page.getByRole('button', { name: 'Run 1 case' }).click()
      await page.getByText('Done.').waitFor({ timeout: 200_000 })

      expect(await row(page, 'qkv/cpu').innerText()).toMatch(/exact/)
      for (const peer of ['onnxruntime-web/wasm', 'tensorflow.js/wasm', 'jax-js/wasm', 'plain-loop']) {
        expect(await row(page, peer).innerText(), peer).toMatch(ratio)
      }
      expect(await row(page, 'onnxruntime-node/cpu').innerText()).toMatch(/skipped: .*no page runs/)

      const download = page.waitForEvent('download')
      await page.getByRole('button', { name: 'Save as JSON' }).click()
      const report = JSON.parse(readFileSync(await (await download).path(), 'utf8'))
      expect(report).toMatchObject({ version: 2, machine, cases: [{ bench: { id: 'small/full-32/16' } }] })
      expect(report.rooflines.gigaflops).toBeGreaterThan(0)
      expect(Math.min(report.clock.before, report.clock.after)).toBeGreaterThan(0)
      const known = currentCommit(fileURLToPath(new URL('.', import.meta.url))) !== undefined
      expect(report.commit).toEqual(known ? expect.stringMatching(/^[0-9a-f]{7,}/) : undefined)
      expect(report.cases[0].rows[0]).toMatchObject({ peer: 'qkv/cpu', status: 'measured', agreement: { right: true } })
    })
  })

  test('on the GPU, every library’s numbers are the reference’s, and each has a time', async () => {
    await withPage(`${site.url}bench.html`, async (page) => {
      await choose(page, ['full-32/16'])
      await page.locator('select').selectOption('gpu')
      await page.getByRole('button', { name: 'Run 1 case' }).click()
      await page.getByText('Done.').waitFor({ timeout: 200_000 })
      expect(await row(page, 'qkv/webgpu').innerText()).toMatch(/exact/)
      for (const peer of ['onnxruntime-web/webgpu', 'tensorflow.js/webgpu', 'jax-js/webgpu']) {
        expect(await row(page, peer).innerText(), peer).toMatch(/exact/)
        expect(await row(page, peer).innerText(), peer).toMatch(ratio)
      }
    })
  })

  test.skipIf(models === undefined)('lets a model of the visitor’s own write, which writes what float64 writes', async () => {
    await withPage(`${site.url}bench.html`, async (page) => {
      await choose(page, [])
      await page
        .locator('input[type=file]')
        .setInputFiles(['tok512.bin', 'stories260K.bin'].map((name) => join(models ?? '', name)))
      await page.getByRole('checkbox', { name: 'stories260K/200' }).check()
      await page.getByRole('button', { name: 'Run 1 case' }).click()
      await page.getByText('Done.').waitFor({ timeout: 200_000 })
      expect(await row(page, 'qkv/cpu').innerText()).toMatch(/tokens\/s\s+the same/)
      expect(await row(page, 'qkv/javascript').innerText()).toMatch(ratio)
    })
  })

  test('draws as results come, answers all the while, and stops when told', async () => {
    await withPage(`${site.url}bench.html`, async (page) => {
      await choose(page, ['full-64/64', 'full-32/16', 'causal-64x8/128'])
      const longestSilence = await timeSilences(page)
      await page.getByRole('button', { name: 'Run 3 cases' }).click()
      await page.getByText('QKV against each of them').waitFor({ timeout: 100_000 })
      expect(await page.getByRole('progressbar').count()).toBe(1)

      await page.getByRole('button', { name: 'Stop after this case' }).click()
      await page.getByText('Stopped.').waitFor({ timeout: 200_000 })
      expect(await page.getByRole('table').count()).toBeLessThan(3)
      expect(await longestSilence()).toBeLessThan(500)
    })
  })
})

/** A median and its quartiles. */
const ratio = /[\d.]+× \([\d.]+–[\d.]+\)/

function row(page: Page, peer: string) {
  return page.getByRole('row', { name: new RegExp(`^${peer}`) })
}

/** What the browser itself says of the machine. */
async function visitorsMachine(page: Page): Promise<{ cores: number; system: string; runtime: string }> {
  const { cores, agent } = await page.evaluate(() => ({ cores: navigator.hardwareConcurrency, agent: navigator.userAgent }))
  const [, system = '', version = ''] = /\(([^;)]+).*Chrome\/([\d.]+)/.exec(agent) ?? []
  return { cores, system, runtime: `Chrome ${version}` }
}

/** From now on: the longest, in milliseconds, that the page went without getting round to a timer. */
async function timeSilences(page: Page): Promise<() => Promise<number>> {
  const longest = await page.evaluateHandle(() => {
    const silence = { longest: 0 }
    let last = performance.now()
    setInterval(() => {
      const now = performance.now()
      silence.longest = Math.max(silence.longest, now - last)
      last = now
    }, 20)
    return silence
  })
  return () => longest.evaluate((silence) => silence.longest)
}

async function choose(page: Page, names: readonly string[]): Promise<void> {
  const chosen = page.locator('fieldset input:checked')
  while ((await chosen.count()) > 0) await chosen.first().uncheck()
  for (const name of names) await page.getByRole('checkbox', { name, exact: true }).first().check()
}
