import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { repository } from '../checks/workspace.ts'

/** What a few lines print that stand where a command at the root would. */
function printed(lines: string, env: NodeJS.ProcessEnv = process.env): { said: string; code: number | null } {
  const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', lines], { cwd: repository, env })
  return { said: String(stderr), code: status }
}

test('on a Node that is too old, commands say which one they need', () => {
  const lines = `
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.18.3' } })
    await import('./tooling/workspace.mjs')`
  expect(printed(lines)).toEqual({ said: 'QKV needs Node 20.19 or newer; this is 20.18.3.\n', code: 1 })
})

test('a program that is not there is named, with where it comes from', () => {
  const lines = `
    const { pnpm } = await import('./tooling/workspace.mjs')
    process.exit(await pnpm(['--version']))`
  const { said, code } = printed(lines, { PATH: '' })
  expect(said).toMatch(/^npx could not be started \(.*ENOENT.*\); it comes with Node and npm\.\n$/)
  expect(code).toBe(1)
})
