import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, realpath, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-fs'
import { glob } from 'tinyglobby'
import type { Manifest } from './boundaries.ts'
import { repository } from './workspace.ts'

/** A package as npm would publish it. */
export interface Published {
  readonly manifest: Manifest & { readonly scripts?: Readonly<Record<string, string>>; readonly version: string }
  readonly tarball: Buffer
  /** Where its files lie, beside the other packages, as an installation would put them. */
  readonly folder: string
}

/** The folder of that installation. */
export const installation: string = join(repository, 'node_modules', '.cache', 'qkv', 'published')

/** Packs every public package and installs all of them together. */
export async function publishedPackages(): Promise<Published[]> {
  await rm(installation, { recursive: true, force: true })
  await mkdir(installation, { recursive: true })
  const filters = ['--filter=./packages/*', '--filter=!@qkv/testing']
  await promisify(execFile)(
    'npx',
    ['--yes', `pnpm@${await pnpmVersion()}`, ...filters, '--recursive', 'pack', `--pack-destination=${installation}`],
    { cwd: repository },
  )
  const tarballs = await glob(['*.tgz'], { cwd: installation, absolute: true })
  return Promise.all(tarballs.toSorted().map(installed))
}

async function installed(path: string): Promise<Published> {
  const unpacked = `${path}.unpacked`
  await pipeline(createReadStream(path), createGunzip(), extract(unpacked, { strip: 1 }))
  const manifest = JSON.parse(await readFile(join(unpacked, 'package.json'), 'utf8')) as Published['manifest']
  const folder = await placeOf(manifest.name)
  await rename(unpacked, folder)
  const others = Object.keys(manifest.dependencies ?? {}).filter((dependency) => !dependency.startsWith('@qkv/'))
  for (const other of others) {
    const source = join(repository, 'packages', manifest.name.slice('@qkv/'.length), 'node_modules', other)
    await symlink(await realpath(source), await placeOf(other))
  }
  return { manifest, tarball: await readFile(path), folder }
}

/** Where an installation puts a package; the folder above it exists. */
async function placeOf(name: string): Promise<string> {
  const place = join(installation, 'node_modules', name)
  await mkdir(dirname(place), { recursive: true })
  return place
}

async function pnpmVersion(): Promise<string> {
  const { devEngines } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8')) as {
    devEngines: { packageManager: { version: string } }
  }
  return devEngines.packageManager.version
}
