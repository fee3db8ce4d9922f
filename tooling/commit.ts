import { execFileSync } from 'node:child_process'

/**
 * The commit of the repository in which a folder lies, with a mark where there are changes besides; undefined outside a repository.
 * Reports that are kept change nothing of what runs: one must not mark those that are made after it.
 */
export function currentCommit(folder: string): string | undefined {
  try {
    const git = (...words: string[]): string =>
      execFileSync('git', words, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    const changes = git('status', '--porcelain', '--untracked-files=no', ':/', ':(top,exclude)apps/bench/results')
    return `${git('rev-parse', '--short', 'HEAD')}${changes === '' ? '' : ' with changes'}`
  } catch {
    return undefined
  }
}
