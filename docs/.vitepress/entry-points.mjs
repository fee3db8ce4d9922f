import { readdirSync, readFileSync } from 'node:fs'

const packages = new URL('../../packages/', import.meta.url)

/** What one can import of the published packages, as their `exports` say: each name, and the source behind it. */
export const entryPoints = readdirSync(packages).flatMap((folder) => {
  const { name, private: internal, exports } = JSON.parse(readFileSync(new URL(`${folder}/package.json`, packages), 'utf8'))
  if (internal) return []
  return Object.entries(exports)
    .filter(([, target]) => target['@qkv/source'] !== undefined)
    .map(([path, target]) => ({
      name: path === '.' ? name : name + path.slice(1),
      source: `${folder}/${target['@qkv/source'].slice(2)}`,
    }))
})
