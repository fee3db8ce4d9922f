import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { glob } from 'tinyglobby'
import type { Manifest, Package } from './boundaries.ts'

export const repository: string = fileURLToPath(new URL('../..', import.meta.url))

/** Every package and app, with the files that are written by hand. */
export async function workspacePackages(): Promise<(Package & { readonly folder: string })[]> {
  const manifests = await glob(['packages/*/package.json', 'apps/*/package.json', 'docs/package.json'], { cwd: repository })
  return Promise.all(
    manifests.map(async (path) => {
      const folder = join(repository, dirname(path))
      const files = await glob(['**/*.{ts,js,mjs,svelte}'], {
        cwd: folder,
        ignore: ['**/{node_modules,dist,build,assembly,.svelte-kit}/**'],
      })
      return {
        folder,
        manifest: JSON.parse(readFileSync(join(repository, path), 'utf8')) as Manifest,
        files: files.map((file) => ({ path: file, text: readFileSync(join(folder, file), 'utf8') })),
      }
    }),
  )
}
