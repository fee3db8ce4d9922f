import { defineConfig } from 'vitest/config'

/** Tests resolve packages to their sources, so they need no build. */
const source = { resolve: { conditions: ['@qkv/source'] }, ssr: { resolve: { conditions: ['@qkv/source', 'module', 'node', 'default'] } } }

export default defineConfig({
  test: {
    projects: [
      {
        ...source,
        test: {
          name: 'unit',
          include: ['packages/*/{src,test}/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'docs/test/**/*.test.ts', 'tooling/test/**/*.test.ts'],
          exclude: ['**/*.gpu.test.ts', '**/*.browser.test.ts', '**/node_modules/**'],
        },
      },
      { ...source, test: { name: 'gpu', include: ['packages/*/test/**/*.gpu.test.ts'], pool: 'forks', fileParallelism: false, globalSetup: 'packages/testing/src/software-gpu.setup.ts' } },
      { ...source, test: { name: 'browser', include: ['**/test/**/*.browser.test.ts'], fileParallelism: false, testTimeout: 120_000 } },
    ],
  },
})
