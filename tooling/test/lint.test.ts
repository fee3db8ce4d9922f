import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { repository } from '../checks/workspace.ts'

const oxlint = join(repository, 'node_modules', '.bin', 'oxlint')

/** What the linter says of sources of a package. */
function complaints(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'planted-'))
  mkdirSync(join(folder, 'src'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'src', name), text)
  const { stdout } = spawnSync(oxlint, ['--config', join(repository, '.oxlintrc.json'), '--format=unix'], {
    cwd: folder,
    encoding: 'utf8',
  })
  rmSync(folder, { recursive: true })
  return stdout
}

test.each([
  ['imports in a circle', { 'a.ts': "export { b } from './b.ts'\n", 'b.ts': "export { b } from './a.ts'\n" }, 'import(no-cycle)'],
  ['any', { 'a.ts': 'export const a: any = 1\n' }, 'no-explicit-any'],
  ['code from strings', { 'a.ts': "export const a = new Function('return 1')\n" }, 'no-new-func'],
  ['a file of more than one idea', { 'a.ts': 'export {}\n'.repeat(401) }, 'max-lines'],
  ['a test that runs alone', { 'a.test.ts': "import { test } from 'vitest'\ntest.only('a', () => {})\n" }, 'no-focused-tests'],
])('the linter finds %s', (_what, files, rule) => {
  expect(complaints(files)).toContain(rule)
})

test('and nothing where there is nothing', () => {
  expect(complaints({ 'a.ts': 'export const a = 1\n' })).not.toContain('Error')
})
