import { readFile } from 'node:fs/promises'
import type { Plugin } from 'vite'
import { snippetsOf } from '../../packages/testing/src/markdown.ts'

const snippet = /^(?<file>.+\.md)\?snippet=(?<index>\d+)&lang\.ts$/

/** `import('./README.md?snippet=2&lang.ts')` runs the third TypeScript block of a Markdown file as a module that stands beside it. */
export function markdownSnippets(): Plugin {
  return {
    name: 'markdown-snippets',
    enforce: 'pre',
    async load(id) {
      const { file, index } = snippet.exec(id)?.groups ?? {}
      if (file === undefined) return null
      return snippetsOf(await readFile(file, 'utf8'))[Number(index)]?.code
    },
  }
}
