import { defineConfig } from 'tsup'

/**
 * Bundles our own code; everything from npm stays outside and is loaded only by the process that runs it. TensorFlow.js's gradients
 * come along, for they are modules that Node would take for CommonJS.
 */
export default defineConfig({
  entry: { terminal: 'src/terminal.ts', 'host-process': 'src/host-process.ts', report: 'src/report/index.ts' },
  format: 'esm',
  platform: 'node',
  target: 'node20',
  noExternal: [/^@tensorflow\/tfjs-core\/dist\//],
  loader: { '.wasm': 'binary' },
  clean: true,
})
