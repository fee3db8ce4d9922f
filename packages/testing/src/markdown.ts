import { lexer } from 'marked'

/** A TypeScript block of a Markdown file. */
export interface Snippet {
  readonly code: string
  /** Where the block begins, counted from 1. */
  readonly line: number
  /** The heading it stands under. */
  readonly heading: string
}

/** The ```ts blocks of a Markdown text, in order. */
export function snippetsOf(markdown: string): Snippet[] {
  const snippets: Snippet[] = []
  let line = 1
  let heading = ''
  for (const token of lexer(markdown)) {
    if (token.type === 'heading') heading = token['text']
    if (token.type === 'code' && token['lang'] === 'ts') snippets.push({ code: token['text'], line, heading })
    line += token.raw.split('\n').length - 1
  }
  return snippets
}
