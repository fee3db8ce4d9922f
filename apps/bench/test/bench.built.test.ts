import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const bench = fileURLToPath(new URL('..', import.meta.url))
const kept = join(bench, 'results', '4-portable.json')
const scratch = mkdtempSync(join(tmpdir(), 'qkv-bench-'))
afterAll(() => rmSync(scratch, { recursive: true }))

interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

function run(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(bench, 'dist', 'terminal.js'), ...args], (failure, out, err) =>
      resolve({ code: Number(failure?.code ?? 0), out, err }),
    )
  })
}

describe('npm run bench', () => {
  it('measures what is asked for, writes it, and compares this build with another', { timeout: 120_000 }, async () => {
    const to = join(scratch, 'report')
    // The other build is this one, which may seem faster or slower by chance: the exit code says nothing here.
    const { out, err } = await run('--filter', 'overhead/call', '--peers', 'none', '--rounds', '3', '--against', bench, '--out', to)
    expect(err).toBe('')
    expect(out).toMatch(/^Against the other build: 1 case compared/m)
    expect(JSON.parse(readFileSync(`${to}.json`, 'utf8'))).toMatchObject({
      version: 2,
      threads: 1,
      machine: { cores: expect.any(Number), runtime: expect.stringContaining(process.versions.node) },
      rooflines: { gigaflops: expect.any(Number), gigabytes: expect.any(Number) },
      cases: [{ bench: { id: expect.stringContaining('overhead/call') }, rows: [{ status: 'measured' }, { status: 'measured' }] }],
    })
    expect(readFileSync(`${to}.md`, 'utf8')).toContain('overhead/call')
    expect(readFileSync(`${to}.html`, 'utf8')).toMatch(/^<!doctype html>/i)
  })

  it('finds no change between a report and itself', async () => {
    const { code, out } = await run('--compare', kept, kept)
    expect(out).toMatch(/^\d+ rows compared; none changed beyond noise\.$/m)
    expect(out).toContain('under the same circumstances')
    expect(code).toBe(0)
  })

  it('says of two reports what else is not the same', async () => {
    const other = join(scratch, 'other.json')
    writeFileSync(other, JSON.stringify({ ...JSON.parse(readFileSync(kept, 'utf8')), threads: 7 }))
    expect((await run('--compare', kept, other)).out).toMatch(/^Not the same besides:\n  threads: 1 → 7\n/)
  })

  const broken = join(scratch, 'broken.json')
  writeFileSync(broken, '{')
  it.each([
    [['--filer', 'decode'], '--filer: there is no such option'],
    [['decode'], 'decode: what is this?'],
    [['--filter', 'nothing-like-it'], '--filter nothing-like-it: no case'],
    [['--rounds', '0'], "--rounds must be a whole number > 0; received '0'"],
    [['--against', scratch], 'there is no built bench'],
    [['--compare', kept], '--compare takes two reports'],
    [['--compare', kept, 'absent.json'], 'absent.json: there is no such file'],
    [['--baseline', broken], 'broken.json: no report of this bench'],
  ])('refuses %j in one line, before it measures', async (options, reason) => {
    const { code, out, err } = await run(...options)
    expect(err).toContain(reason)
    expect(err.trim().split('\n')).toHaveLength(1)
    expect(out).toBe('')
    expect(code).toBe(1)
  })
})
