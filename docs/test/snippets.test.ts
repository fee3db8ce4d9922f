import { snippetsOf } from '@qkv/testing/markdown'
import { describeSnippets } from '@qkv/testing/snippets'
import { readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { glob } from 'tinyglobby'
import { expect, test } from 'vitest'

const docs = fileURLToPath(new URL('..', import.meta.url))
const pages = await glob(['*.md', '{guide,positional,decisions}/**/*.md'], { cwd: docs, absolute: true })

test('there are pages', () => expect(pages.length).toBeGreaterThan(5))

for (const page of pages.toSorted()) {
  if (snippetsOf(readFileSync(page, 'utf8')).length > 0) describeSnippets(pathToFileURL(page))
}
