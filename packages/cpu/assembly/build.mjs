// Compiles the kernels twice, with relaxed SIMD and without, and deflates both together into build/kernels.deflate.wasm:
// they differ so little that the second costs almost nothing. Slices of them take turns, since deflate finds again only what
// came within the last 32 kB. src/wasm/module.ts takes them apart.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import asc from 'assemblyscript/asc'

const folder = fileURLToPath(new URL('..', import.meta.url))
const target = fileURLToPath(new URL('../build/', import.meta.url))
/** Constants lie above the thread pool's words, which src/threads/control.ts counts from address 0. */
const constantsStart = 4096
const sliceBytes = 4096

const common = [
  'assembly/index.ts', '--baseDir', folder, '--outFile', 'kernels.wasm', '--runtime', 'stub', '--noAssert', '-O3', '--converge',
  '--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536', '--memoryBase', String(constantsStart),
  '--enable', 'simd', '--enable', 'threads',
  // Pointers are 32 bits wide here, whatever usize is.
  '--disableWarning', '201',
]

const relaxed = await compile(['--enable', 'relaxed-simd'])
const simd = await compile([])
const lengths = Buffer.from(new Uint32Array([relaxed.length, simd.length, sliceBytes]).buffer)
const slices = []
for (let at = 0; at < Math.max(relaxed.length, simd.length); at += sliceBytes) {
  slices.push(relaxed.subarray(at, at + sliceBytes), simd.subarray(at, at + sliceBytes))
}
await mkdir(target, { recursive: true })
// Under another name first: whoever imports it meanwhile finds it whole.
await writeFile(`${target}kernels.${process.pid}`, deflateRawSync(Buffer.concat([lengths, ...slices]), { level: 9 }))
await rename(`${target}kernels.${process.pid}`, `${target}kernels.deflate.wasm`)

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
