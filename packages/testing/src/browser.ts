import { fileURLToPath } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { createServer, preview, type InlineConfig } from 'vite'
import { wasmBytes } from '../../../tooling/vite/wasm-bytes.ts'
import { chromiumRunsHere, unpackChromium } from './chromium.ts'

/** A folder served to a browser, until it is closed. */
export interface Site {
  /** Ends in a slash. */
  readonly url: string
  close(): Promise<void>
}

export interface SiteOptions {
  /** Sent with every answer, besides those that isolate the page, as SharedArrayBuffer requires. */
  readonly headers?: Readonly<Record<string, string>>
  /** False leaves out the headers that isolate the page. Default true. */
  readonly isolated?: boolean
}

/** A headless browser with WebGPU on a software adapter, from npm where it runs, else the Chrome of this machine. */
export async function launchBrowser(): Promise<Browser> {
  if (!chromiumRunsHere) return chromium.launch({ channel: 'chrome', args: flags })
  const { executable, libraries, fonts } = await unpackChromium()
  const env = { ...process.env, LD_LIBRARY_PATH: libraries, FONTCONFIG_PATH: fonts } as Record<string, string>
  delete env['VK_ICD_FILENAMES'] // the browser brings its own
  return chromium.launch({ executablePath: executable, args: ['--no-sandbox', ...flags], env })
}

/** Opens a page, uses it and closes everything. Fails if the page reported an error, even where `use` did not notice. */
export async function withPage<Result>(url: string, use: (page: Page) => Promise<Result>): Promise<Result> {
  const browser = await launchBrowser()
  const errors: string[] = []
  try {
    const page = await browser.newPage()
    page.on('pageerror', ({ stack, message }) => errors.push(stack || message))
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text())
    })
    await page.goto(url)
    const result = await use(page)
    if (errors.length > 0) throw new Error('the page reported errors')
    return result
  } catch (cause) {
    throw errors.length > 0 ? new Error(`the page at ${url} reported:\n${errors.join('\n')}`, { cause }) : cause
  } finally {
    await browser.close()
  }
}

/** Serves a folder of pages and modules; they import packages by name and get their sources. */
export async function serveSource(folder: URL | string, options: SiteOptions = {}): Promise<Site> {
  const server = await createServer({
    ...site(folder),
    plugins: [wasmBytes()],
    resolve: { conditions: ['@qkv/source', 'module', 'browser', 'development'] },
    server: { port: 0, host: '127.0.0.1', headers: headersOf(options), fs: { allow: [repository] }, hmr: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  })
  await server.listen()
  return { url: server.resolvedUrls?.local[0] ?? '', close: () => server.close() }
}

/** Serves what an app has built, the `dist` of its folder, as it would be published. */
export async function serveBuilt(folder: URL | string, options: SiteOptions = {}): Promise<Site> {
  const server = await preview({ ...site(folder), preview: { port: 0, host: '127.0.0.1', headers: headersOf(options) } })
  return { url: server.resolvedUrls?.local[0] ?? '', close: () => server.close() }
}

const repository = fileURLToPath(new URL('../../..', import.meta.url))

const flags = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-unsafe-swiftshader',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

function site(folder: URL | string): InlineConfig {
  return { root: folder instanceof URL ? fileURLToPath(folder) : folder, configFile: false, logLevel: 'error' }
}

function headersOf({ headers = {}, isolated = true }: SiteOptions): Record<string, string> {
  const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }
  return { ...(isolated ? isolation : {}), ...headers }
}
