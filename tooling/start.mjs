import { join } from 'node:path'
import process from 'node:process'
import { build, install, root, run } from './workspace.mjs'

// `npm start`: installs, builds, checks every backend of this machine and serves the demo. `npm start -- --check` ends there.

await install()
await build('@qkv/app-demo')

console.log('\nOne attention (8 heads, 128 tokens, causal) on each backend, against the float64 reference:')
const selfCheck = join(root, 'tooling', 'self-check.mjs')
const wrong = (await run('node', [selfCheck, 'cpu', 'webgpu'])) !== 0
if (wrong) process.exit(1)
if (!process.argv.includes('--check')) await serveDemo()

async function serveDemo() {
  const { preview } = await import('vite')
  const server = await preview({ root: join(root, 'apps', 'demo'), logLevel: 'warn', preview: { port: 4173, host: 'localhost' } })
  console.log(`\nThe demo: ${server.resolvedUrls.local[0]}   (ctrl-c ends it)`)
}
