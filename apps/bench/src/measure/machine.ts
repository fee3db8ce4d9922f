import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Machine } from '../report/report.ts'

/** The machine as Node sees it, which knows no GPU. */
export function describeMachine(): Machine {
  const processors = cpus()
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    runtime: `Node ${process.versions.node}, V8 ${process.versions.v8}`,
    adapter: undefined,
    load: loadavg()[0],
  }
}

/** The commit of this repository that is measured, with a mark where there are changes besides; undefined outside a repository. */
export function currentCommit(): string | undefined {
  const here = fileURLToPath(new URL('.', import.meta.url))
  try {
    const git = (...words: string[]): string =>
      execFileSync('git', words, { cwd: here, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with changes'}`
  } catch {
    return undefined
  }
}
