import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readListing, type Listing } from './listing.ts'

/** GPUs compiled for, by the names Mesa gives them: RDNA 2 and RDNA 3. */
export const families = ['navi21', 'gfx1100'] as const
export type Family = (typeof families)[number]

/**
 * Compiles shaders, by their names, in one start of `compiler`; what that command has to do is said in the README beside
 * this file.
 */
export function compile(compiler: string, shaders: ReadonlyMap<string, string>, family: Family): Map<string, Listing> {
  const folder = mkdtempSync(join(tmpdir(), 'instruction-mix-'))
  try {
    const files = [...shaders].map(([name, code]) => {
      const file = join(folder, `${name}.wgsl`)
      writeFileSync(file, code)
      return file
    })
    const [program = '', ...options] = compiler.split(' ')
    const { status, stderr } = spawnSync(program, [...options, '--family', family, '--dump', folder, ...files], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    })
    if (status !== 0)
      throw new Error(`cannot compile for ${family}: ${/Error: .*/.exec(stderr ?? '')?.[0] ?? stderr?.slice(0, 300)}`)
    return new Map(
      [...shaders.keys()].map((name) => [name, readListing(readFileSync(join(folder, `${name}.wgsl.${family}.txt`), 'utf8'))]),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}
