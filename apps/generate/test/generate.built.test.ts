import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { describe, expect, test } from 'vitest'

const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const folder = sharedFolder('models/stories260k')

/** Stated in the README beside the model. */
const story =
  'Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball.'

interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

function run(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], (failure, out, err) => resolve({ code: Number(failure?.code ?? 0), out, err }))
  })
}

describe.skipIf(folder === undefined)('npm run generate', () => {
  const path = (name: string): string => relative(process.cwd(), join(folder ?? '', name))
  const model = ['--checkpoint', path('stories260K.bin'), '--tokenizer', path('tok512.bin')]

  test.each([[[]], [['--no-cache']]])('writes the story, and how fast, with %j', async (options) => {
    const { code, out, err } = await run(...model, 'Once upon a time', '--steps', '60', ...options)
    expect(code).toBe(0)
    expect(out.slice(0, story.length)).toBe(story)
    expect(err).toMatch(/^CPU, .*\n60 tokens, first after \d+ ms, then \d+\.\d tokens\/s\n$/)
  })

  test('draws the same story from the same seed', async () => {
    const drawn = async (seed: string): Promise<string> =>
      (await run(...model, 'One day', '--steps', '25', '--temperature', '0.9', '--top-p', '0.9', '--seed', seed)).out
    const [first, again, other] = await Promise.all([drawn('7'), drawn('7'), drawn('8')])
    expect(first).toMatch(/^One day/)
    expect(again).toBe(first)
    expect(other).not.toBe(first)
  })

  test('measures the heads', async () => {
    const { out } = await run(...model, '--heads')
    expect(out.match(/layer \d head \d is .*/g)).toEqual([
      expect.stringMatching(/^layer 1 head 3 is a previous-token head \(0\.\d\d\)$/),
      expect.stringMatching(/^layer 3 head 6 is a previous-token head \(0\.\d\d\)$/),
    ])
  })

  test.each([
    ['--steps', 'x', "generate: --steps must be a number; received 'x'"],
    ['--temperature', '-1', 'sampler: temperature must be a number ≥ 0; received -1'],
    ['--top-p', '2', 'sampler: topP must be above 0 and at most 1; received 2'],
    ['--tokenizer', 'nowhere.bin', "ENOENT: no such file or directory, open 'nowhere.bin'"],
  ])('%s %s ends with one line that says what is wrong', async (option, value, message) => {
    const { code, out, err } = await run(...model, 'Once', `${option}=${value}`)
    expect(code).toBe(1)
    expect(out).toBe('')
    expect(err.trim().split('\n').at(-1)).toBe(message)
  })

  test('so does a checkpoint that is cut short', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'qkv-'))
    try {
      const cut = join(scratch, 'cut.bin')
      writeFileSync(cut, readFileSync(join(folder ?? '', 'stories260K.bin')).subarray(0, 1000))
      const { code, err } = await run('--checkpoint', cut, '--tokenizer', path('tok512.bin'), 'Once')
      expect(code).toBe(1)
      expect(err).toBe('readLlama2cCheckpoint: file must be 1056540 bytes, by its header; received 1000 bytes\n')
    } finally {
      rmSync(scratch, { recursive: true })
    }
  })
})
