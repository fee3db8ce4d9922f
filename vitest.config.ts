import { defineConfig } from 'vitest/config'
import { compactWgsl } from './tooling/vite/compact-wgsl.ts'
import { markdownSnippets } from './tooling/vite/markdown-snippets.ts'
import { wasmBytes } from './tooling/vite/wasm-bytes.ts'

/** Tests see the packages' sources, so they need no build … */
const source = {
  plugins: [wasmBytes(), markdownSnippets()],
  resolve: { conditions: ['@qkv/source'] },
  ssr: { resolve: { conditions: ['@qkv/source', 'module', 'node', 'default'] } },
}

/** For machines that do much else besides. A test that hangs is still one that fails. */
const patience = 60_000

/** What newer engines do without being asked: so the tests of sources see the binary that nearly all users get, on any Node. */
const relaxedSimd = Number.parseInt(process.versions.node) < 21 ? ['--experimental-wasm-relaxed-simd'] : []

const special = ['**/*.{gpu,browser,built}.test.ts', '**/node_modules/**']

export default defineConfig({
  test: {
    maxWorkers: '100%',
    silent: 'passed-only',
    projects: [
      {
        ...source,
        test: {
          name: 'unit',
          include: ['packages/*/{src,test}/**/*.test.ts', '{apps/*,docs,tooling}/test/**/*.test.ts'],
          exclude: special,
          execArgv: relaxedSimd,
          testTimeout: patience,
        },
      },
      {
        ...source,
        plugins: [...source.plugins, compactWgsl()],
        test: {
          name: 'gpu',
          include: ['{packages,apps}/*/test/**/*.gpu.test.ts'],
          globalSetup: 'packages/testing/src/software-gpu.setup.ts',
          testTimeout: 2 * patience,
          hookTimeout: 2 * patience,
          pool: 'forks',
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        ...source,
        test: {
          name: 'browser',
          include: ['{packages/*,apps/*,docs}/test/**/*.browser.test.ts'],
          fileParallelism: false,
          testTimeout: 2 * patience,
          hookTimeout: 2 * patience,
          sequence: { groupOrder: 2 },
        },
      },
      // … and what is built is tested as it would be published: by itself, and once more by the tests that see a package as its
      // users do. (The rest of cpu's reach into its sources, for engines and faults that users cannot choose.)
      {
        plugins: [markdownSnippets()],
        test: {
          name: 'built',
          include: [
            '**/test/**/*.built.test.ts',
            'packages/{attention,positional,transformer}/test/*.test.ts',
            'packages/cpu/test/{backend,readme}.test.ts',
          ],
          exclude: ['**/*.{gpu,browser}.test.ts', '**/node_modules/**'],
          testTimeout: 2 * patience,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
