import { readFile } from 'node:fs/promises'
import type { Plugin } from 'vite'

/** `import bytes from './x.wasm'` gives a Uint8Array, as tsup's binary loader makes it in the published packages. */
export function wasmBytes(): Plugin {
  return {
    name: 'wasm-bytes',
    enforce: 'pre',
    async load(id) {
      if (!id.endsWith('.wasm')) return null
      const base64 = (await readFile(id)).toString('base64')
      return `export default Uint8Array.from(atob('${base64}'), (character) => character.charCodeAt(0))`
    },
  }
}
