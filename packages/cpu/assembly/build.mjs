// Compiles the kernels twice, to build/simd.wasm and build/relaxed.wasm. Same sources, same interface; see src/wasm/module.ts.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
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
await Promise.all([compile('simd', []), compile('relaxed', ['--enable', 'relaxed-simd'])])

async function compile(name, features) {
  const unfinished = `${target}${name}.${process.pid}`
  const { error, stdout, stderr } = await asc.main([...common, ...features], {
    readFile: (file, base) => readFile(new URL(file, new URL(`file://${base}/`)), 'utf8').catch(() => null),
    writeFile: (_, contents) => writeFile(unfinished, contents),
  })
  process.stdout.write(stdout.toString())
  process.stderr.write(stderr.toString())
  if (error) throw error
  await rename(unfinished, `${target}${name}.wasm`)
}
