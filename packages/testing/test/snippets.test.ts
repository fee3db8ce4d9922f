import { expect, test } from 'vitest'
import { snippetsOf } from '../src/markdown.ts'

const markdown = [
  '# One',
  '```ts',
  'const a = 1',
  '',
  'a',
  '```',
  '## Two',
  '```text',
  '# no heading',
  '```',
  '````ts',
  '```',
  '````',
].join('\n')

test('only ts blocks are snippets, with their place', () => {
  expect(snippetsOf(markdown)).toEqual([
    { code: 'const a = 1\n\na', line: 2, heading: 'One' },
    { code: '```', line: 11, heading: 'Two' },
  ])
})

test('a snippet runs as a module that stands beside its file, and what it throws is seen', async () => {
  const file = new URL('snippets.md', import.meta.url).pathname
  await expect(import(/* @vite-ignore */ `${file}?snippet=0&lang.ts`)).resolves.toBeDefined()
  await expect(import(/* @vite-ignore */ `${file}?snippet=1&lang.ts`)).rejects.toThrow('no backend')
})
