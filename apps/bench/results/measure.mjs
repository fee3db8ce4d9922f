import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

// Makes the reports that the documentation draws, on this machine, one after the other: `node apps/bench/results/measure.mjs`, after
// `npm run build`, on an idle machine. Some 40 minutes. Options: names of tables to make only those; `--short` to see that all
// run, in some 3 minutes. GPU tables take the adapter that Dawn finds.

const every = 'prefill,decode,cache,chunked,ragged,mask,encoding,gradient,training,linear,small,overhead,writing,parallel'
const sharedWork = 'prefill/full,prefill/causal,prefill/llama,decode/llama,gradient,linear,overhead,parallel'
const portableWork = 'prefill/full-64/512,decode/gpt-2,small,overhead,writing'
const peers = 'onnxruntime,transformers.js,tensorflow.js/wasm,jax-js'

/** What is measured: Node's version, how long at most, and the options of `npm run bench`. */
const tables = [
  {
    name: '1-processor-one-thread',
    title: 'The processor, one thread, relaxed SIMD',
    node: 24,
    minutes: 15,
    options: ['--filter', every, '--peers', peers],
  },
  {
    name: '2-processor-two-threads',
    title: 'The processor, two threads, relaxed SIMD',
    node: 24,
    minutes: 7,
    options: ['--threads', '2', '--filter', sharedWork, '--peers', `${peers},qkv/one-thread`],
  },
  {
    name: '3-processor-plain-simd',
    title: 'The processor, one thread, plain SIMD',
    node: 20,
    minutes: 3,
    options: ['--filter', 'prefill/full,prefill/causal,decode/llama,gradient,linear,small,writing', '--peers', peers],
  },
  {
    name: '4-portable',
    title: 'Where WebAssembly is refused: portable JavaScript',
    node: 24,
    minutes: 1.5,
    options: ['--filter', portableWork, '--peers', 'qkv/javascript,plain-loop,tensorflow.js/cpu'],
  },
  {
    name: '5-growth',
    title: 'Growth with length, two threads',
    node: 24,
    options: ['--threads', '2', '--filter', 'growth', '--rounds', '3', '--peers', 'onnxruntime,tensorflow.js/wasm,jax-js'],
  },
  {
    name: '6-gpu',
    title: 'WebGPU',
    node: 24,
    minutes: 2,
    options: ['--device', 'gpu', '--filter', 'small,decode/gpt-2,linear/1x,growth/causal-64x1/512'],
  },
]

const chosen = process.argv.slice(2).filter((argument) => argument !== '--short')
const short = process.argv.includes('--short')
const folder = fileURLToPath(new URL('.', import.meta.url))
const terminal = fileURLToPath(new URL('../dist/terminal.js', import.meta.url))

for (const { name, title, node, minutes, options } of tables) {
  if (chosen.length > 0 && !chosen.some((part) => name.includes(part))) continue
  const limit = short ? 0.4 : minutes
  const limits = limit === undefined ? [] : ['--minutes', String(limit)]
  const args = ['-y', '-p', `node@${node}`, 'node', terminal, '--title', title, ...options, ...limits]
  const out = short ? [] : ['--out', `${folder}${name}.json`]
  const start = performance.now()
  const [code] = await once(spawn('npx', [...args, ...out], { stdio: 'inherit' }), 'close')
  console.log(`\n${name}: ${((performance.now() - start) / 60_000).toFixed(1)} minutes${code === 0 ? '' : `, exit code ${code}`}\n`)
}
