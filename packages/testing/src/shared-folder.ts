import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')

/**
 * The path of a file or folder of test material that is kept beside the repository, in `../shared`; undefined where that
 * is absent. Tests that need it say so: `describe.skipIf(sharedFolder('vectors/onnx') === undefined)`.
 */
export function sharedFolder(path: string): string | undefined {
  const found = join(repository, '..', 'shared', path)
  return existsSync(found) ? found : undefined
}
