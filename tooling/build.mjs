import { build, install } from './workspace.mjs'

// `npm run build`: every package and app.

await install()
await build()
