import { attention } from '@qkv/attention'
import { problem, reference, tensor, toFloat64 } from '@qkv/core'
import { createCpuBackend } from '@qkv/cpu'
import { createWebGpuBackend } from '@qkv/webgpu'
import process from 'node:process'

// One attention on every backend of this machine, against the float64 reference: is it right, and how long does it take?
// `node self-check.mjs [cpu] [webgpu]`; ends with 1 where a backend is wrong, and says so where there is none.

const shape = [1, 8, 128, 64]
const makers = {
  cpu: () => createCpuBackend(),
  webgpu: async () => createWebGpuBackend({ gpu: await nodeGpu() }),
}

const names = process.argv.slice(2)
const [q, k, v] = [1, 2, 3].map((seed) => tensor(noise(seed), shape))
const options = { causal: true }
for (const name of names) {
  const backend = await makers[name]().catch(({ message }) => console.log(`  ${name.padEnd(8)} not here: ${message}`))
  if (backend === undefined) continue
  const { milliseconds, fraction } = await check(backend, name === 'webgpu' ? 'wgsl' : 'cpu')
  const verdict = fraction <= 1 ? 'right' : 'WRONG'
  console.log(
    `  ${name.padEnd(8)} ${verdict}, ${milliseconds.toFixed(1)} ms, error ${fraction.toFixed(3)} of its bound: ${backend.description}`,
  )
  if (fraction > 1) process.exitCode = 1
  backend.dispose()
}
process.exit() // WebGPU in Node would keep the process

/** The median of five runs after a first one, reading included, and the largest error as a fraction of what is allowed. */
async function check(backend, platform) {
  const times = []
  let output
  for (let run = 0; run < 6; run++) {
    const begin = performance.now()
    const result = await attention(q, k, v, { ...options, backend })
    output = toFloat64(tensor(await backend.read(result.output), shape))
    times.push(performance.now() - begin)
    result.output.dispose()
  }
  const exact = reference(problem(q, k, v, options), { backend: platform })
  const fraction = output.reduce((worst, value, index) => {
    const error = Math.abs(value - exact.output[index]) / exact.bound[index]
    return error <= worst ? worst : error // a NaN stays
  }, 0)
  return { milliseconds: times.slice(1).sort((a, b) => a - b)[2], fraction }
}

/** Numbers between −1 and 1 that are the same everywhere. */
function noise(seed) {
  return Float32Array.from({ length: shape.reduce((product, size) => product * size) }, (_, index) =>
    Math.sin(seed * 1e4 + index * 12.9898),
  )
}

async function nodeGpu() {
  const { create, globals } = await import('webgpu')
  Object.assign(globalThis, globals)
  globalThis.qkvGpu = create([]) // Dawn must not be collected
  return globalThis.qkvGpu
}
