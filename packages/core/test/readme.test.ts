import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { snippetsOf } from '@qkv/testing/markdown'
import { describe, test } from 'vitest'

const readme = fileURLToPath(new URL('../README.md', import.meta.url))

describe('README.md', () => {
  snippetsOf(readFileSync(readme, 'utf8')).forEach(({ heading, line }, index) => {
    test(`the snippet under “${heading}”, line ${line}, runs`, () => import(`${readme}?snippet=${index}&lang.ts`))
  })
})
