import type { Machine } from '../report/report.ts'

/** The visitor's device, as far as a browser tells. */
export async function describeBrowser(): Promise<Machine> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' })
  return {
    processor: 'a processor that the browser does not name',
    cores: navigator.hardwareConcurrency,
    memoryBytes: undefined,
    system: systemName(navigator.userAgent),
    runtime: browserName(navigator.userAgent),
    adapter: adapter ? adapterName(adapter.info) : undefined,
    load: undefined,
  }
}

function adapterName({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  return [vendor, architecture, device, description].filter(Boolean).join(' ') || 'an adapter without a name'
}

function browserName(userAgent: string): string {
  // Edge calls itself Chrome too.
  const name = /(?:Firefox|Edg)\/[\d.]+/.exec(userAgent) ?? /(?:Chrome|Version)\/[\d.]+/.exec(userAgent)
  return name?.[0].replace('Version', 'Safari').replace('Edg', 'Edge').replace('/', ' ') ?? 'a browser'
}

function systemName(userAgent: string): string {
  return /\(([^;)]+)/.exec(userAgent)?.[1] ?? 'an unknown system'
}
