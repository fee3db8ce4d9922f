import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// What every command at the root stands on: dependencies installed, packages built. Plain JavaScript without dependencies,
// because it runs before there are any.

export const root = fileURLToPath(new URL('..', import.meta.url))
export const cache = join(root, 'node_modules', '.cache', 'qkv')

refuseOldNode()

/** Installs what the lockfile says, with the pnpm the repository names, unless that is done already. */
export async function install() {
  const stamp = join(cache, 'installed')
  const wanted = manifestsHash()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  console.log('Installing dependencies …')
  const hint = 'It needs the npm registry: a network, a proxy where one is due, and the registry that npm is set to.'
  await succeed('Installing', pnpm(['install', '--frozen-lockfile'], { quietly: true }), hint)
  mkdirSync(cache, { recursive: true })
  writeFileSync(stamp, wanted)
}

/** Builds what changed since it was last built. */
export async function build(...filters) {
  console.log('Building …')
  await succeed('Building', turbo(['build', ...filters.map((filter) => `--filter=${filter}`)]))
}

/** Runs tasks of the workspace. What turbo remembers is not run again. Only what fails is seen. */
export function turbo(args) {
  return pnpm(['exec', 'turbo', 'run', '--output-logs=errors-only', ...args], { quietly: true })
}

export function pnpm(args, options) {
  const { version } = manifest('.').devEngines.packageManager
  return run('npx', ['--yes', `pnpm@${version}`, ...args], { ...options, env: calm })
}

/** Runs a program and gives its exit code. What it prints is seen at once or, quietly, only when it fails. */
export async function run(program, args, { cwd = root, quietly = false, env = {} } = {}) {
  const stdio = quietly ? ['ignore', 'pipe', 'pipe'] : 'inherit'
  // On Windows npx is a script, which wants a shell; this very Node wants none, and its path may hold spaces.
  const [file, shell] = program === 'node' ? [process.execPath, false] : [program, process.platform === 'win32']
  const child = spawn(file, args, { cwd, stdio, shell, env: { ...process.env, ...env } })
  const printed = []
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => printed.push(chunk))
  const pass = (signal) => child.kill(signal)
  process.on('SIGINT', pass).on('SIGTERM', pass)
  const [code] = await once(child, 'close').catch(({ message }) => {
    console.error(`${program} could not be started (${message}); it comes with Node and npm.`)
    return [1]
  })
  process.off('SIGINT', pass).off('SIGTERM', pass)
  if (code !== 0) process.stderr.write(Buffer.concat(printed))
  return code ?? 1
}

/** The manifest of a folder of the workspace. */
export function manifest(folder) {
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
}

const calm = {
  CI: process.env.CI ?? 'true', // no questions, no progress bars
  TURBO_TELEMETRY_DISABLED: '1',
  npm_config_update_notifier: 'false',
  npm_config_fund: 'false',
}

/** Ends this program when a step fails: what went wrong is on the screen already. */
async function succeed(step, running, hint) {
  const code = await running
  if (code === 0) return
  console.error(`\n${step} failed.${hint === undefined ? '' : ` ${hint}`}`)
  process.exit(code)
}

/** Said here, for what fails later on an old Node does not say why. */
function refuseOldNode() {
  const [major, minor] = manifest('.').engines.node.match(/\d+/g).map(Number)
  const [hasMajor, hasMinor] = process.versions.node.split('.').map(Number)
  if (hasMajor > major || (hasMajor === major && hasMinor >= minor)) return
  console.error(`QKV needs Node ${major}.${minor} or newer; this is ${process.versions.node}.`)
  process.exit(1)
}

function manifestsHash() {
  const folders = ['packages', 'apps'].flatMap((parent) => {
    return readdirSync(join(root, parent)).map((name) => join(parent, name))
  })
  const files = [
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    ...['.', 'docs', ...folders].map((folder) => join(folder, 'package.json')),
  ]
  const hash = createHash('sha256').update(process.version)
  for (const file of files) if (existsSync(join(root, file))) hash.update(file).update(readFileSync(join(root, file)))
  return hash.digest('hex')
}
