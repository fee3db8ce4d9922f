import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { launchBrowser, serveBuilt, type Site } from '@qkv/testing/browser'
import { sharedFolder } from '@qkv/testing/shared-folder'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

const models = sharedFolder('models/stories260k')

/** Stated in the README beside the model. */
const story = 'Once upon a time, there was a little girl named Lily. She loved to play outside in the park.'

let site: Site
let browser: Browser
let page: Page
let errors: string[]

beforeAll(async () => {
  site = await serveBuilt(new URL('..', import.meta.url))
  browser = await launchBrowser()
})

afterAll(async () => {
  await browser.close()
  await site.close()
})

beforeEach(async () => {
  errors = []
  page = await browser.newPage()
  page.on('pageerror', ({ stack, message }) => errors.push(stack ?? message))
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  await page.goto(site.url)
})

afterEach(async () => {
  await page.close()
  if (errors.length > 0) throw new Error(`the page reported:\n${errors.join('\n')}`)
})

describe('with no file', () => {
  test('says what computes, and that it was checked against float64', async () => {
    const line = page.getByTestId('backend')
    await line.getByText(/checked against float64/).waitFor()
    expect(await line.locator('summary').innerText()).toMatch(/^\s*CPU, .*off by at most \d\.\de-\d, [<\d ]+% of what is allowed$/s)
    await line.locator('summary').click()
    const details = await line.locator('dl').innerText()
    expect(details).toContain('all 16,384 outputs are within the error bound')
    expect(details).toMatch(/Why not webgpu\s/)
    expect(details).toContain('cross-origin isolated')
  })

  test('shows attention over the visitor’s own words, labelled as made up', async () => {
    const words = page.locator('#words')
    expect(await words.innerText()).toContain('Made-up vectors')
    await words.getByRole('textbox').fill('red green blue red')
    await words.getByRole('option', { name: 'red' }).first().hover()
    // The same word has the same vectors, so both look equally alike to the first.
    const gaze = await words.locator('.gaze').innerText()
    const [, first, second] = /red looks at red (\d+) %, red (\d+) %/.exec(gaze) ?? []
    expect(first).toBe(second)
    expect(Number(first)).toBeGreaterThan(20)
  })

  test('a causal mask hides later words', async () => {
    const words = page.locator('#words')
    await words.getByRole('textbox').fill('red green blue red')
    await words.getByLabel('only words before it (causal)').check()
    await words.getByRole('option', { name: 'red' }).first().hover()
    expect(await words.locator('.gaze').innerText()).toMatch(/^red looks at red 100 %/)
  })

  test('a sink takes a part of the gaze, and gives nothing for it', async () => {
    const words = page.locator('#words')
    await words.getByRole('textbox').fill('red red')
    await words.getByRole('option', { name: 'red' }).first().hover()
    expect(await words.locator('.gaze').innerText()).toMatch(/^red looks at red 50 %, red 50 % in/)
    await words.getByLabel('may look nowhere (sink)').check()
    const [, each, nowhere] = /red (\d+) %, red \1 %, nowhere (\d+) %/.exec(await words.locator('.gaze').innerText()) ?? []
    expect(Math.abs(2 * Number(each) + Number(nowhere) - 100)).toBeLessThanOrEqual(1)
  })

  test('ends with a program that does the same, which runs', async () => {
    const shown = await page.locator('#program pre').innerText()
    expect(shown.trim()).toBe(readFileSync(new URL('../src/program/program.ts', import.meta.url), 'utf8').trim())
  })

  test('words can be gone through by keyboard', async () => {
    const words = page.locator('#words')
    await words.getByRole('listbox').focus()
    await page.keyboard.press('Home')
    expect(await words.locator('.gaze').innerText()).toMatch(/^the looks at the/)
    await page.keyboard.press('ArrowRight')
    expect(await words.locator('.gaze').innerText()).toMatch(/^cat looks at cat/)
    expect(await words.getByRole('option', { selected: true }).innerText()).toBe('cat')
  })

  test('order matters only with positions', async () => {
    const claim = page.getByTestId('order')
    await claim.getByText(/the same, to rounding|exactly the same/).waitFor()
    await claim.getByLabel('with positions (rotary)').check()
    await claim.getByText(/changed by up to 0\.[1-9]|changed by up to [1-9]/).waitFor()
  })

  test('another ending changes nothing before it, unless the mask is lifted', async () => {
    const claim = page.getByTestId('future')
    await claim.getByText('nothing before it changed, not a bit').waitFor()
    await claim.getByLabel('causal mask').uncheck()
    await claim.getByText('7 of 7 earlier words changed').waitFor()
  })

  test('tile by tile, softmax comes out as all at once, whatever the tiles', async () => {
    const claim = page.getByTestId('online')
    for (const tile of ['1', '4', '9']) {
      await claim.getByRole('slider').nth(1).fill(tile)
      await claim
        .getByRole('slider')
        .nth(0)
        .fill(String(Math.ceil(9 / Number(tile))))
      await claim
        .getByText(/All read\. Against attention over everything at once: (exactly the same|the same, to rounding)/)
        .waitFor()
    }
  })

  test('counts the scores of 131,072 tokens', async () => {
    const claim = page.getByTestId('memory')
    await claim.getByRole('slider').fill('17')
    expect(await claim.innerText()).toContain('17,179,869,184')
    await claim.getByRole('slider').fill('12')
    expect(await claim.innerText()).toContain('16,777,216')
  })

  test('draws what masks leave of the tiles', async () => {
    const claim = page.getByTestId('tiles')
    const less = async (): Promise<number> => parseFloat(await claim.locator('dd').last().innerText())
    const causal = await less()
    expect(causal).toBeGreaterThan(1.8)
    await claim.getByText('sliding window', { exact: true }).click()
    expect(await less()).toBeGreaterThan(2 * causal)
    expect(await claim.locator('svg path').count()).toBe(2)
  })

  test('without cross-origin isolation it computes all the same, on one thread', async () => {
    const plain = await serveBuilt(new URL('..', import.meta.url), { isolated: false })
    try {
      await page.goto(plain.url)
      const line = page.getByTestId('backend')
      await line.getByText(/checked against float64/).waitFor()
      await line.locator('summary').click()
      expect(await line.locator('dl').innerText()).toContain('are within the error bound')
      expect(await line.locator('dl').innerText()).toContain('threads stay off')
    } finally {
      await page.goto('about:blank')
      await plain.close()
    }
  })

  test('has a page that measures speed', async () => {
    await page.getByRole('link', { name: 'Speed' }).click()
    await page.getByRole('heading', { name: 'How fast is exact attention on your machine?' }).waitFor()
    expect(await page.getByRole('button', { name: /Run \d+ cases/ }).isEnabled()).toBe(true)
  })

  test('another backend takes over, is checked in its turn, and what was computed is computed anew', async () => {
    const line = page.getByTestId('backend')
    for (const [choice, description] of [
      ['plain JavaScript', /portable JavaScript/],
      ['GPU', /WebGPU/],
      ['processor', /WebAssembly/],
    ] as const) {
      await line.getByText(/checked against float64/).waitFor()
      await line.getByText(choice, { exact: true }).click()
      await line.locator('summary', { hasText: description }).waitFor()
      expect(await line.locator('summary').innerText()).toMatch(/checked against float64: .* [<\d ]+% of what is allowed/)
      await page
        .getByTestId('order')
        .getByText(/the same, to rounding|exactly the same/)
        .waitFor()
    }
  })

  test('a score that the visitor writes shapes the weights, and the backend’s result is checked', async () => {
    const claim = page.getByTestId('score')
    const formula = claim.getByRole('textbox')
    await formula.fill('score.sub(query.sub(key).abs().toFloat().mul(2))')
    await claim.getByText('score − |query − key| · 2').waitFor()
    await claim.getByText('as exact as the plain one').waitFor()

    await formula.fill('score.sub(query.mul(0.5))')
    await claim.getByRole('alert').filter({ hasText: 'must be a whole number' }).waitFor()
    await formula.fill('score.mul(')
    await claim.getByRole('alert').waitFor()
    await claim.getByRole('button', { name: 'every other' }).click()
    await claim.getByText('as exact as the plain one').waitFor()
    expect(await claim.getByRole('alert').count()).toBe(0)
  })

  test('a long text is computed in little memory, and exactly', async () => {
    const claim = page.getByTestId('memory')
    await claim.getByRole('slider').fill('11')
    await claim.getByRole('button', { name: 'Compute 2,048 tokens here' }).click()
    const said = claim.getByText(/2,048 tokens, one causal head/)
    await said.waitFor()
    const [, beyond, unit, share] = /with ([\d.]+) (KiB|MiB) beyond .* are (?:< )?(\d+) %/s.exec(await said.innerText()) ?? []
    expect(Number(beyond) * (unit === 'MiB' ? 1 : 1 / 1024)).toBeLessThan(4)
    expect(Number(share)).toBeLessThanOrEqual(100)
  })

  test('a cache shrinks by shared heads, smaller numbers and windows', async () => {
    const claim = page.getByTestId('cache')
    const size = async (): Promise<string> => (await claim.locator('output').innerText()).replaceAll(/\s+/g, ' ')
    // Llama 3 8B keeps 128 KiB a token in float16.
    expect(await size()).toBe('1 GiB, 8× less than 8 GiB of 32 heads in float32')
    await claim.getByText('float32', { exact: true }).click()
    await claim.getByRole('slider', { name: 'Query heads for each key/value head' }).fill('0')
    expect(await size()).toBe('8 GiB, nothing saved')
    await claim.getByRole('checkbox').check()
    expect(await size()).toContain('1 GiB, 8× less')
  })

  test('is readable in light and dark', async () => {
    const contrast = (): Promise<number> =>
      page.evaluate(() => {
        const luminance = (colour: string): number => {
          const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/g) ?? []).map((part) => (Number(part) / 255) ** 2.2)
          return 0.2126 * r + 0.7152 * g + 0.0722 * b
        }
        const { color, backgroundColor } = getComputedStyle(document.body)
        const [low = 0, high = 0] = [luminance(color), luminance(backgroundColor)].sort((a, b) => a - b)
        return (high + 0.05) / (low + 0.05)
      })
    await page.emulateMedia({ colorScheme: 'light' })
    const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    expect(await contrast()).toBeGreaterThan(7)
    await page.getByRole('button', { name: 'Show in dark colours' }).click()
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).not.toBe(light)
    expect(await contrast()).toBeGreaterThan(7)
  })
})

describe.skipIf(models === undefined)('with stories260K', () => {
  const files = ['stories260K.bin', 'tok512.bin']

  async function writeOn(steps: number): Promise<void> {
    await page.getByRole('spinbutton', { name: 'tokens' }).fill(String(steps))
    await page.getByRole('button', { name: 'Write on' }).click()
    await page.getByRole('button', { name: 'Stop' }).waitFor({ state: 'hidden' })
    await page.getByRole('button', { name: 'Write on' }).waitFor()
  }

  /** 500 tokens without a cache: each reads all before it again, so that this takes seconds anywhere. */
  async function beginLongStory(): Promise<void> {
    await page.getByLabel('keep keys and values (cache)').uncheck()
    await page.getByRole('spinbutton', { name: 'tokens' }).fill('500')
    await page.getByRole('button', { name: 'Write on' }).click()
  }

  test('both files dropped on the page load it; it writes its story and draws every head', async () => {
    await dropFiles(files)
    await page.getByText('260,032 parameters, 5 layers of 8 heads').waitFor()
    await writeOn(40)
    const listed = page.locator('#model').getByRole('listbox')
    expect((await listed.innerText()).replace('⟨start⟩', '')).toContain(story)
    expect(await page.getByTestId('heads').getByRole('img').count()).toBe(40)
    expect(await inkedMaps()).toBe(40)
  })

  test('names the two previous-token heads by measurement', async () => {
    await dropFiles(files)
    await writeOn(5)
    const named = page.getByTestId('heads').locator('button', { hasText: 'previous token' })
    await named.first().waitFor()
    expect(await named.evaluateAll((heads) => heads.map((head) => head.getAttribute('data-head')))).toEqual(['1.3', '3.6'])
    expect(await page.getByTestId('roles').innerText()).toMatch(/layer 3 head 6 \(7\d %\) and layer 1 head 3 \(6\d %\)/)
  })

  test('pointing at a token shows what it attends to, in the chosen head', async () => {
    await dropFiles(files)
    await writeOn(30)
    const model = page.locator('#model')
    await model.locator('[data-head="3.6"]').click()
    let before = 0
    for (let token = 6; token < 26; token++) {
      await model.locator(`[data-token="${token}"]`).hover()
      const gaze = await model.locator('.gaze').innerText()
      expect(gaze).toContain('in layer 3, head 6')
      const inks = await model
        .locator('[data-token]')
        .evaluateAll((tokens) => tokens.map((each) => parseFloat(getComputedStyle(each).getPropertyValue('--ink-share'))))
      const mostInked = inks.indexOf(Math.max(...inks))
      const named = (await model.locator(`[data-token="${mostInked}"]`).innerText()).trim()
      if (named !== '') expect(gaze).toContain(` looks at ${named} `)
      if (mostInked === token - 1) before++
    }
    // A previous-token head: most of these twenty tokens look just before themselves.
    expect(before).toBeGreaterThan(10)
  })

  test('the story is the same without a cache', async () => {
    await dropFiles(files)
    await page.getByLabel('keep keys and values (cache)').uncheck()
    await writeOn(40)
    expect(await page.locator('#model').getByRole('listbox').innerText()).toContain(story)
  })

  test('the story is the same on another backend', async () => {
    await dropFiles(files)
    await page.getByText('260,032 parameters').waitFor()
    await page.getByTestId('backend').getByText('plain JavaScript', { exact: true }).click()
    await page
      .getByTestId('backend')
      .getByText(/portable JavaScript/)
      .waitFor()
    await writeOn(20)
    const written = (await page.locator('#model').getByRole('listbox').innerText()).replace('⟨start⟩', '')
    expect(written.length).toBeGreaterThan(30)
    expect(story.startsWith(written.slice(0, story.length))).toBe(true)
  })

  test('stops when asked to', async () => {
    await dropFiles(files)
    await beginLongStory()
    // From within the page: the model may be done before a test that asks from outside has asked.
    await page.evaluate(async () => {
      const button = (): HTMLElement | null => document.querySelector('[data-testid="write"]')
      while (document.querySelector('#model [data-token="10"]') === null) await new Promise(requestAnimationFrame)
      button()?.click()
    })
    await page.getByRole('button', { name: 'Write on' }).waitFor()
    const written = await page.locator('#model [data-token]').count()
    expect(written).toBeLessThan(500)
    await page.waitForTimeout(300)
    expect(await page.locator('#model [data-token]').count()).toBe(written)
  })

  test('answers while the model writes', async () => {
    await dropFiles(files)
    await beginLongStory()
    // The model may be done before a test that asks from outside has asked twice.
    const seen = await page.evaluate(async () => {
      const frames = (count: number): Promise<void> =>
        new Promise((resolve) => requestAnimationFrame(() => (count > 1 ? void frames(count - 1).then(resolve) : resolve())))
      while (document.querySelector('#model [data-token="8"]') === null) await frames(1)
      document.querySelector('#model [data-token="3"]')?.dispatchEvent(new PointerEvent('pointerenter'))
      const box = document.querySelector<HTMLTextAreaElement>('#words textarea')!
      box.value = 'other words'
      box.dispatchEvent(new Event('input', { bubbles: true }))
      await frames(2)
      const textOf = (selector: string): string => document.querySelector<HTMLElement>(selector)?.innerText ?? ''
      return { button: textOf('[data-testid="write"]'), gaze: textOf('#model .gaze'), words: textOf('#words [role="listbox"]') }
    })
    expect(seen.button).toBe('Stop')
    expect(seen.gaze).toMatch(/looks at .* in the mean of all heads/)
    expect(seen.words).toMatch(/^other\s+words\s*$/)
  })

  test('a truncated checkpoint is refused in words', async () => {
    await dropFiles(['stories260K.bin'], 5000)
    await page
      .getByRole('alert')
      .getByText('readLlama2cCheckpoint: file must be 1056540 bytes, by its header; received 5000 bytes')
      .waitFor()
  })

  /** Drops files on the page as a visitor does, from the file manager. */
  async function dropFiles(names: readonly string[], bytes?: number): Promise<void> {
    const contents = names.map((name) => ({
      name,
      base64: readFileSync(join(models ?? '', name))
        .subarray(0, bytes)
        .toString('base64'),
    }))
    const transfer = await page.evaluateHandle((dropped) => {
      const data = new DataTransfer()
      for (const { name, base64 } of dropped) {
        data.items.add(new File([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], name))
      }
      return data
    }, contents)
    await page.dispatchEvent('body', 'drop', { dataTransfer: transfer })
  }

  /** How many heads have a map with ink on it. */
  function inkedMaps(): Promise<number> {
    return page
      .getByTestId('heads')
      .locator('canvas')
      .evaluateAll(
        (canvases) =>
          canvases.filter((canvas) => {
            if (!(canvas instanceof HTMLCanvasElement)) return false
            const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data
            return pixels?.some((value, index) => index % 4 === 3 && value > 100)
          }).length,
      )
  }
})
