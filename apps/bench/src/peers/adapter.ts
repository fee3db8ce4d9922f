import { Unavailable } from './peer.ts'

/** The WebGPU adapter of the browser, or in Node Dawn's. */
export async function requestAdapter(): Promise<GPUAdapter> {
  const gpu = typeof navigator !== 'undefined' && navigator.gpu !== undefined ? navigator.gpu : await dawn()
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (adapter === null) throw new Unavailable('no WebGPU adapter')
  return adapter
}

let kept: GPU | undefined

/** Dawn ends the process where the object that made its adapters is collected: it is kept for good. */
async function dawn(): Promise<GPU> {
  const { create, globals } = await import('webgpu')
  Object.assign(globalThis, globals)
  kept ??= create(['enable-dawn-features=allow_unsafe_apis'])
  return kept
}
