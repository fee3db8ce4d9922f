import { join } from 'node:path'
import process from 'node:process'
import { build, install, manifest, root, run } from './workspace.mjs'

// `npm run generate -- …`, `npm run bench -- …`: builds an app and what it needs, then runs its `main` where the caller stands.

const [app, ...args] = process.argv.slice(2)

await install()
const { name, main } = manifest(`apps/${app}`)
await build(name)
process.exitCode = await run('node', [join(root, 'apps', app, main), ...args], { cwd: process.env.INIT_CWD })
