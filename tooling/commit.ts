import { execFileSync } from 'node:child_process'

/** The commit of the repository in which a folder lies, with a mark where there are changes besides; undefined outside a repository. */
export function currentCommit(folder: string): string | undefined {
  try {
    const git = (...words: string[]): string =>
      execFileSync('git', words, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with changes'}`
  } catch {
    return undefined
  }
}
