import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { createBrotliDecompress } from 'node:zlib'
import { extract } from 'tar-fs'

/** The browser that comes from npm, with what a bare Linux lacks to run it. */
export interface ChromiumFiles {
  /** Holds SwiftShader, a Vulkan driver that needs no GPU, and a Vulkan loader. */
  readonly folder: string
  readonly executable: string
  /** For VK_ICD_FILENAMES: the description of SwiftShader. */
  readonly vulkanDriver: string
  /** For LD_LIBRARY_PATH: NSS and expat. */
  readonly libraries: string
  /** For FONTCONFIG_PATH. */
  readonly fonts: string
}

/** True where the npm browser runs. Elsewhere there is a browser, and often a GPU, already. */
export const chromiumRunsHere: boolean = process.platform === 'linux' && process.arch === 'x64'

/** Unpacks the npm browser, once for all processes of this checkout, and says where its files lie. */
export async function unpackChromium(): Promise<ChromiumFiles> {
  const folder = join(cache, `chromium-${version}`)
  if (!existsSync(folder)) await unpackInto(folder)
  return {
    folder,
    executable: join(folder, 'chromium'),
    vulkanDriver: join(folder, 'vk_swiftshader_icd.json'),
    libraries: join(folder, 'al2023', 'lib'),
    fonts: join(folder, 'fonts'),
  }
}

const require = createRequire(import.meta.url)
const archives = join(dirname(require.resolve('@sparticuz/chromium')), '..', '..', 'bin')
const { version } = require(join(archives, '..', 'package.json')) as { version: string }
const cache = fileURLToPath(new URL('../../../node_modules/.cache/qkv/', import.meta.url))

/** Unpacks beside the folder and renames, so that no process ever sees it half full. */
async function unpackInto(folder: string): Promise<void> {
  await mkdir(cache, { recursive: true })
  const partial = await mkdtemp(join(cache, 'unpacking-'))
  await Promise.all([
    decompress('chromium.br', createWriteStream(join(partial, 'chromium'))),
    decompress('swiftshader.tar.br', extract(partial)),
    decompress('al2023.tar.br', extract(join(partial, 'al2023'))),
    decompress('fonts.tar.br', extract(join(partial, 'fonts'))),
  ])
  await chmod(join(partial, 'chromium'), 0o755)
  await writeFile(join(partial, 'fonts', 'fonts.conf'), fontsConfiguration(join(folder, 'fonts')))
  await rename(partial, folder).catch(async (failure: unknown) => {
    await rm(partial, { recursive: true, force: true })
    if (!existsSync(folder)) throw failure // otherwise another process was quicker
  })
}

/** The archive's own looks for its fonts where a cloud function has them; a browser without any font crashes at a text field. */
function fontsConfiguration(folder: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${folder}/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${folder}/cache</cachedir>
</fontconfig>
`
}

function decompress(archive: string, target: NodeJS.WritableStream): Promise<void> {
  return pipeline(createReadStream(join(archives, archive)), createBrotliDecompress(), target)
}
