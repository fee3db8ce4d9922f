import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { installation } from './published.ts'

/** A program that imports published packages, bundled for a browser and minified. Imports that only Node resolves stay. */
export async function bundle(code: string, external: readonly string[] = []): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: installation },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    external: ['node:*', ...external],
    write: false,
    logLevel: 'silent',
  })
  return outputFiles.map(({ text }) => text).join('\n')
}

/** What a visitor would load, in kB. */
export function gzippedKilobytes(text: string): number {
  return gzipSync(text, { level: 9 }).length / 1000
}
