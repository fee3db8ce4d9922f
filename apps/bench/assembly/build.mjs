import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import asc from 'assemblyscript/asc'

/** Builds the rooflines' two binaries: for every engine with SIMD, and for those with its relaxed instructions. */
const folder = dirname(fileURLToPath(import.meta.url))
mkdirSync(join(folder, '..', 'build'), { recursive: true })
for (const [name, features] of [['simd128', ['simd']], ['relaxed-simd', ['simd', 'relaxed-simd']]]) {
  const { error, stderr } = await asc.main([
    join(folder, 'roofline.ts'), '--outFile', join(folder, '..', 'build', `roofline.${name}.wasm`),
    '--runtime', 'stub', '--noAssert', '-O3', ...features.flatMap((feature) => ['--enable', feature]),
    '--initialMemory', '1024', '--maximumMemory', '1024', '--memoryBase', '67108800',
  ])
  if (error) throw new Error(`${error.message}\n${stderr}`)
}
