import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'
import { currentCommit } from '../../tooling/commit.ts'
import { wasmBytes } from '../../tooling/vite/wasm-bytes.ts'

/** Cross-origin isolation gives the page shared memory, and so threads. */
const isolated = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }

const page = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export default defineConfig({
  base: './',
  define: { __COMMIT__: JSON.stringify(currentCommit(page('.'))) ?? 'undefined' },
  plugins: [svelte(), wasmBytes()],
  worker: { format: 'es', plugins: () => [wasmBytes()] },
  // Older targets would turn light-dark() into a media query, which a visitor's own choice could not change.
  build: {
    target: 'es2023',
    reportCompressedSize: false,
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    rolldownOptions: { input: [page('index.html'), page('bench.html')] },
  },
  server: { headers: isolated },
  preview: { headers: isolated },
})
