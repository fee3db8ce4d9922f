import { describeSnippets } from '@qkv/testing/snippets'

describeSnippets(new URL('../README.md', import.meta.url))
