import { builtinModules } from 'node:module'
import { dirname, join } from 'node:path/posix'
import ts from 'typescript'

/** What the sources of each package may import of the others: imports point one way. Apps may import every package. */
const layers: Readonly<Record<string, readonly string[]>> = {
  '@qkv/core': [],
  '@qkv/cpu': ['@qkv/core'],
  '@qkv/webgpu': ['@qkv/core'],
  '@qkv/positional': ['@qkv/core'],
  '@qkv/attention': ['@qkv/core', '@qkv/positional'],
  '@qkv/transformer': ['@qkv/core', '@qkv/positional', '@qkv/attention'],
}

/** The one place where both backends meet, loaded when it is asked for. */
const auto = { file: /^src\/auto[./]/, package: '@qkv/attention', imports: ['@qkv/cpu', '@qkv/webgpu'] }

type Dependencies = Readonly<Record<string, string>>

/** What the check reads of a package's manifest. */
export interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly exports?: Readonly<Record<string, unknown>>
  readonly dependencies?: Dependencies
  readonly peerDependencies?: Dependencies
  readonly devDependencies?: Dependencies
}

/** A file of a package, by its path inside it. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

export interface Package {
  readonly manifest: Manifest
  readonly files: readonly SourceFile[]
}

/** Every import that the architecture forbids, as a sentence. */
export function boundaryViolations(packages: readonly Package[]): string[] {
  const manifests = new Map(packages.map(({ manifest }) => [manifest.name, manifest]))
  return packages.flatMap(({ manifest, files }) =>
    files.flatMap((file) =>
      importsOf(file).flatMap((specifier) => {
        const complaint = complaintAbout(specifier, file, manifest, manifests)
        return complaint === undefined ? [] : [`${manifest.name} ${file.path} imports ${specifier}: ${complaint}`]
      }),
    ),
  )
}

/** What its imports name. Of a Svelte component, those of its scripts. */
function importsOf({ path, text }: SourceFile): string[] {
  const scripts = path.endsWith('.svelte')
    ? [...text.matchAll(/<script[^>]*>(?<code>[^]*?)<\/script>/g)].map((script) => script[1] ?? '')
    : [text]
  return scripts.flatMap((code) => ts.preProcessFile(code, true, true).importedFiles.map(({ fileName }) => fileName))
}

function complaintAbout(
  specifier: string,
  file: SourceFile,
  from: Manifest,
  manifests: ReadonlyMap<string, Manifest>,
): string | undefined {
  if (specifier.startsWith('.'))
    return leaves(file.path, specifier) ? 'a package uses what another exports, never a file of it' : undefined
  const name = packageOf(specifier)
  if (builtinModules.includes(name))
    return isSource(file, from) && !declares(from, '@types/node') ? 'it must run everywhere, not only in Node' : undefined
  const to = manifests.get(name)
  return misplaced(name, file, from) ?? undeclared(name, file, from) ?? (to && unexported(specifier, to))
}

/** `tooling/` serves every package, from beside them. */
function leaves(path: string, specifier: string): boolean {
  const target = join(dirname(path), specifier)
  return target.startsWith('../') && !target.startsWith('../../tooling/')
}

function misplaced(name: string, file: SourceFile, from: Manifest): string | undefined {
  const allowed = layers[from.name]
  if (allowed === undefined || !name.startsWith('@qkv/') || name === from.name || !isSource(file, from)) return undefined
  if (allowed.includes(name)) return undefined
  if (from.name === auto.package && auto.file.test(file.path) && auto.imports.includes(name)) return undefined
  return allowed.length === 0 ? 'it imports nothing' : `it imports only ${allowed.join(', ')}`
}

function undeclared(name: string, file: SourceFile, from: Manifest): string | undefined {
  if (name === from.name) return undefined
  const { dependencies, peerDependencies, devDependencies } = from
  const declared = { ...dependencies, ...peerDependencies, ...(isSource(file, from) ? {} : devDependencies) }
  return name in declared
    ? undefined
    : `${isSource(file, from) ? 'its dependencies do' : 'its package.json does'} not declare ${name}`
}

function unexported(specifier: string, to: Manifest): string | undefined {
  const subpath = `.${specifier.slice(to.name.length)}`
  const exported = Object.keys(to.exports ?? {}).some(
    (key) => key === subpath || (key.endsWith('*') && subpath.startsWith(key.slice(0, -1))),
  )
  return exported ? undefined : `${to.name} does not export ${subpath}`
}

/** Whether a file is shipped to users: the rest may use what development uses. */
function isSource({ path }: SourceFile, { private: isPrivate }: Manifest): boolean {
  return !isPrivate && path.startsWith('src/') && !path.endsWith('.test.ts')
}

function declares({ devDependencies = {} }: Manifest, name: string): boolean {
  return name in devDependencies
}

/** '@scope/name/sub' → '@scope/name', 'node:fs/promises' → 'fs' */
function packageOf(specifier: string): string {
  const [first = '', second] = specifier.replace(/^node:/, '').split('/')
  return first.startsWith('@') ? `${first}/${second}` : first
}
