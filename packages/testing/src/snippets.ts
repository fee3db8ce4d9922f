import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, test, vi } from 'vitest'
import { snippetsOf } from './markdown.ts'

/** Declares a test for each ```ts block of a Markdown file: it runs, as a module that stands beside the file. */
export function describeSnippets(markdown: URL): void {
  const file = fileURLToPath(markdown)
  const snippets = snippetsOf(readFileSync(file, 'utf8'))
  describe(`the snippets of ${basename(file)}`, () => {
    for (const [index, { heading, line }] of snippets.entries()) {
      test(`${heading}, line ${line}`, async () => {
        const log = vi.spyOn(console, 'log').mockReturnValue()
        await import(/* @vite-ignore */ `${file}?snippet=${index}&lang.ts`)
        log.mockRestore()
      })
    }
  })
}
