import { describeSnippets } from '@qkv/testing/snippets'
import { softwareGpu } from '@qkv/testing/software-gpu'
import { beforeAll } from 'vitest'

beforeAll(() => {
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: softwareGpu() }, configurable: true }) // as in a page
})

describeSnippets(new URL('../examples/README.md', import.meta.url))
