import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const docs = fileURLToPath(new URL('..', import.meta.url))

export interface Page {
  readonly text: string
  readonly link: string
}

/** The pages of a folder, called by their titles, in the order of their `order:` and then of their names; the index first. */
export function pagesOf(folder: string): Page[] {
  const path = join(docs, folder)
  if (!existsSync(path)) return []
  const pages = readdirSync(path).filter((name) => name.endsWith('.md'))
  return pages
    .map((name) => {
      const text = readFileSync(join(path, name), 'utf8')
      const order = name === 'index.md' ? -1 : Number(/^order: (?<order>\d+)$/m.exec(text)?.groups?.['order'] ?? 1000)
      const page = name.replace(/(?:index)?\.md$/, '')
      return { order, text: /^# (?<title>.+)$/m.exec(text)?.groups?.['title'] ?? page, link: `/${folder}/${page}` }
    })
    .toSorted((a, b) => a.order - b.order || a.link.localeCompare(b.link))
    .map(({ text, link }) => ({ text, link }))
}
