import { defineConfig } from 'tsup'

/** Bundles our own code; everything from npm stays outside and is loaded only by the process that runs it. */
export default defineConfig({
  entry: ['src/terminal.ts', 'src/host-process.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node20',
  loader: { '.wasm': 'binary' },
  clean: true,
})
