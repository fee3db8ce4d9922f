import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// What every command at the root stands on: dependencies installed, packages built. Plain JavaScript without dependencies,
// because it runs before there are any.

export const root = fileURLToPath(new URL('..', import.meta.url))
export const cache = join(root, 'node_modules', '.cache', 'qkv')

/** Installs what the lockfile says, with the pnpm the repository names, unless that is done already. */
export async function install() {
  const stamp = join(cache, 'installed')
  const wanted = manifestsHash()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  console.log('Installing dependencies …')
  await succeed('install', pnpm(['install', '--frozen-lockfile', '--reporter=append-only', '--loglevel=error']))
  mkdirSync(cache, { recursive: true })
  writeFileSync(stamp, wanted)
}

/** Builds what changed since it was last built. */
export async function build(...filters) {
  await succeed('build', turbo(['build', '--output-logs=errors-only', ...filters.map((filter) => `--filter=${filter}`)]))
}

export function turbo(args) {
  return pnpm(['exec', 'turbo', 'run', ...args])
}

export function pnpm(args) {
  const { version } = manifest('.').devEngines.packageManager
  return run('npx', ['--yes', `pnpm@${version}`, ...args])
}

/** Runs a program with our input and output, and gives its exit code. */
export function run(program, args, { cwd = root, env = {} } = {}) {
  const child = spawn(program, args, {
    cwd,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    env: { ...process.env, ...quiet, ...env },
  })
  const pass = (signal) => child.kill(signal)
  process.on('SIGINT', pass).on('SIGTERM', pass)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      process.off('SIGINT', pass).off('SIGTERM', pass)
      resolve(code ?? (signal === 'SIGINT' ? 130 : 1))
    })
  })
}

/** The manifest of a folder of the workspace. */
export function manifest(folder) {
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
}

const quiet = {
  CI: process.env.CI ?? 'true', // no questions, no progress bars
  TURBO_TELEMETRY_DISABLED: '1',
  npm_config_update_notifier: 'false',
  npm_config_fund: 'false',
}

/** Ends this program when a step fails: what went wrong is on the screen already. */
async function succeed(step, running) {
  const code = await running
  if (code === 0) return
  console.error(`\n${step} failed`)
  process.exit(code)
}

function manifestsHash() {
  const folders = ['packages', 'apps'].flatMap((parent) => {
    return readdirSync(join(root, parent)).map((name) => join(parent, name))
  })
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...['.', 'docs', ...folders].map((folder) => join(folder, 'package.json'))]
  const hash = createHash('sha256').update(process.version)
  for (const file of files) if (existsSync(join(root, file))) hash.update(file).update(readFileSync(join(root, file)))
  return hash.digest('hex')
}
