import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { glob } from 'tinyglobby'
import { expect, test } from 'vitest'
import { snippetTypeErrors } from '../checks/snippet-types.ts'
import { repository } from '../checks/workspace.ts'

const pages = ['*.md', '{packages,apps}/*/{,examples/}README.md', 'docs/*.md', 'docs/{guide,positional,decisions}/**/*.md']

test('the snippets of every page have types that hold', async () => {
  const files = await glob(pages, { cwd: repository, absolute: true })
  expect(files.length).toBeGreaterThan(10)
  expect(snippetTypeErrors(files)).toEqual([])
}, 300_000)

test('a planted mistake is found', async () => {
  const folder = await mkdtemp(join(repository, 'node_modules', '.cache', 'planted-'))
  const page = join(folder, 'page.md')
  await writeFile(page, ['```ts', "import { tensor } from '@qkv/core'", "tensor(new Float32Array(1), '1')", '```'].join('\n'))
  const complaints = snippetTypeErrors([page])
  await rm(folder, { recursive: true })
  expect(complaints).toEqual([expect.stringContaining('not assignable to parameter')])
}, 300_000)
