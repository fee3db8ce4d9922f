import { gzipSync } from 'node:zlib'
import { build, type Metafile } from 'esbuild'
import { installation } from './published.ts'

export interface Bundle {
  /** With what is loaded later, by `import()`. */
  readonly inAll: string
  readonly atOnce: string
}

/**
 * A program that imports published packages, bundled for a browser and minified. Imports that only Node resolves stay. `next` are
 * names of files that are always loaded next, though by `import()`: they count as loaded at once.
 *
 * @throws Error where no file has such a name: what it was to count would be left out.
 */
export async function bundle(code: string, external: readonly string[] = [], next?: RegExp): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: installation, sourcefile: entry },
    bundle: true,
    splitting: true,
    metafile: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    external: ['node:*', ...external],
    absWorkingDir: installation,
    outdir: installation,
    write: false,
    logLevel: 'silent',
  })
  const texts = new Map(outputFiles.map(({ path, text }) => [path.slice(installation.length + 1), text]))
  const join = (files: readonly string[]): string => files.map((file) => texts.get(file)).join('\n')
  const files = [...texts.keys()]
  if (next && !files.some((file) => next.test(file))) throw new Error(`No file is named as ${next} says: ${files.join(', ')}`)
  return { inAll: join(files), atOnce: join(loadedAtOnce(metafile, next)) }
}

const entry = 'program.js'

function loadedAtOnce({ outputs }: Metafile, next?: RegExp): string[] {
  const files = new Set(Object.keys(outputs).filter((file) => outputs[file]?.entryPoint === entry))
  for (const file of files) {
    for (const { path, kind, external } of outputs[file]?.imports ?? []) {
      if ((kind === 'import-statement' || next?.test(path)) && external !== true) files.add(path)
    }
  }
  return [...files]
}

/** What a visitor would load, in kB. */
export function gzippedKilobytes(text: string): number {
  return gzipSync(text, { level: 9 }).length / 1000
}
