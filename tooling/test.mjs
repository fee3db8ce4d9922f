import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { cache, install, pnpm, root, turbo } from './workspace.mjs'

// `npm test`: builds and checks through turbo, which repeats only what changed; then every test through vitest. The last line
// is the sum: a build or check that turbo ran or remembered counts as one, a test as one.

await install()
const sum = [await checks(), await tests()].reduce((all, part) => ({
  passed: all.passed + part.passed,
  failed: all.failed + part.failed,
  skipped: all.skipped + part.skipped,
}))
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`)
process.exitCode = sum.failed > 0 ? 1 : 0

async function checks() {
  console.log('Building and checking …')
  const summaries = join(root, '.turbo', 'runs')
  rmSync(summaries, { recursive: true, force: true })
  const code = await turbo([
    'build',
    'check:types',
    'check:lint',
    'check:format',
    '--continue=dependencies-successful',
    '--summarize',
  ])
  const [summary] = existsSync(summaries) ? readdirSync(summaries) : []
  if (summary === undefined) return outcome(0, 1)
  const { execution } = JSON.parse(readFileSync(join(summaries, summary), 'utf8'))
  return outcome(execution.success + execution.cached, execution.failed, 0, code)
}

async function tests() {
  const report = join(cache, 'tests.json')
  mkdirSync(cache, { recursive: true })
  rmSync(report, { force: true })
  const file = `--outputFile.json=${relative(root, report)}`
  const code = await pnpm(['exec', 'vitest', 'run', '--reporter=default', '--reporter=json', file])
  if (!existsSync(report)) return outcome(0, 1)
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(readFileSync(report, 'utf8'))
  const unread = testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0).length
  return outcome(numPassedTests, numFailedTests + unread, numPendingTests + numTodoTests, code)
}

/** A program that ends badly has failed, whatever its report says. */
function outcome(passed, failed, skipped = 0, code = 0) {
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, skipped }
}
