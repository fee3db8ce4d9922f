// Compiles the kernels twice, with relaxed SIMD and without, and deflates each: build/relaxed.deflate.wasm and
// build/simd.deflate.wasm. src/wasm/module.ts loads the one that runs.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import asc from 'assemblyscript/asc'

const folder = fileURLToPath(new URL('..', import.meta.url))
const target = fileURLToPath(new URL('../build/', import.meta.url))
/** Constants lie above the thread pool's words, which src/threads/control.ts counts from address 0. */
const constantsStart = 4096

const common = [
  'assembly/index.ts', '--baseDir', folder, '--outFile', 'kernels.wasm', '--runtime', 'stub', '--noAssert', '-O3', '--converge',
  '--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536', '--memoryBase', String(constantsStart),
  '--enable', 'simd', '--enable', 'threads',
  // Pointers are 32 bits wide here, whatever usize is.
  '--disableWarning', '201',
]

await mkdir(target, { recursive: true })
await write('relaxed', await compile(['--enable', 'relaxed-simd']))
await write('simd', await compile([]))

/** Under another name first: whoever imports it meanwhile finds it whole. */
async function write(name, binary) {
  await writeFile(`${target}${name}.${process.pid}`, deflateRawSync(binary, { level: 9 }))
  await rename(`${target}${name}.${process.pid}`, `${target}${name}.deflate.wasm`)
}

async function compile(features) {
  let binary
  const { error, stdout, stderr } = await asc.main([...common, ...features], {
    readFile: (file, base) => readFile(new URL(file, new URL(`file://${base}/`)), 'utf8').catch(() => null),
    writeFile: (_, contents) => void (binary = Buffer.from(contents)),
  })
  process.stdout.write(stdout.toString())
  process.stderr.write(stderr.toString())
  if (error) throw error
  return binary
}
