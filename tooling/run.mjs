import { join } from 'node:path'
import { build, install, manifest, root, run } from './workspace.mjs'

// `npm run generate -- …`, `npm run bench -- …`: builds an app and what it needs, then does what its `start` says, `node FILE`,
// but in the folder where the caller stands, so that the paths they give mean what they see.

const [app, ...args] = process.argv.slice(2)

await install()
const { name, scripts } = manifest(`apps/${app}`)
await build(name)
const [program, file] = scripts.start.split(' ')
process.exitCode = await run(program, [join(root, 'apps', app, file), ...args], { cwd: process.env.INIT_CWD })
