import { describeSnippets } from '@qkv/testing/snippets'
import { afterAll, beforeAll, vi } from 'vitest'
import { checkpointFile, tinySizes } from './support/checkpoint-file.ts'
import { tokenizerFile } from './support/tokenizer-file.ts'

// The snippets read a model's two files. They get a tiny one, with weights that are waves.
vi.mock('node:fs/promises', () => ({
  readFile: (name: string) =>
    Promise.resolve(
      name === 'tok512.bin'
        ? tokenizerFile([
            [' ', -1],
            ['a', -2],
            ['e', -3],
            ['o', -4],
            ['n', -5],
          ])
        : checkpointFile({ ...tinySizes, vocabularySize: 264, contextLength: 64 }, { value: (index) => Math.sin(index) }),
    ),
}))

vi.setConfig({ testTimeout: 60_000 })

// What the model writes with such weights is noise.
beforeAll(() => void vi.spyOn(process.stdout, 'write').mockReturnValue(true))
afterAll(() => void vi.restoreAllMocks())

describeSnippets(new URL('../README.md', import.meta.url))
