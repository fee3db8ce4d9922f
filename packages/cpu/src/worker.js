/**
 * One thread of the pool: waits for work, takes units of it until none are left, waits again. See threads/pool.ts.
 *
 * Plain JavaScript without imports, so that one and the same file runs from source in any Node and any browser, and
 * after any bundler.
 *
 * @typedef {import('./threads/control.ts').WorkerStart} WorkerStart
 * @typedef {typeof import('./threads/control.ts').words} Words
 */

const nodePort = globalThis.process?.getBuiltinModule?.('node:worker_threads')?.parentPort

if (nodePort) nodePort.once('message', start)
else globalThis.addEventListener('message', (event) => start(event.data), { once: true })

/** @param {WorkerStart} message */
function start({ memory, module, kernels, words, number }) {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } })
  const control = new Int32Array(memory.buffer, 0, words.length)
  const run = kernels.map((name) => exports[name])
  ;(nodePort ?? globalThis).postMessage('ready')

  let seen = 0
  while (Atomics.load(control, words.stop) === 0) {
    const generation = nextGeneration(control, words, seen)
    if (generation === seen) continue
    seen = generation
    work(control, words, run, number)
  }
}

/**
 * Watches for a while, since the next operation often follows at once, then sleeps.
 *
 * @param {Int32Array} control
 * @param {Words} words
 * @param {number} seen
 */
function nextGeneration(control, words, seen) {
  const patience = 20_000
  for (let turn = 0; turn < patience; turn++) {
    const generation = Atomics.load(control, words.generation)
    if (generation !== seen) return generation
    Atomics.pause?.()
  }
  Atomics.add(control, words.sleepers, 1)
  Atomics.wait(control, words.generation, seen, 1_000)
  Atomics.sub(control, words.sleepers, 1)
  return Atomics.load(control, words.generation)
}

/**
 * Takes units while there are any. A unit taken is one that the job waits for, so what describes the job is whole and
 * stays as it is until the unit is done.
 *
 * @param {Int32Array} control
 * @param {Words} words
 * @param {readonly ((record: number, unit: number, scratch: number) => void)[]} run
 * @param {number} number
 */
function work(control, words, run, number) {
  for (;;) {
    const left = Atomics.load(control, words.left)
    if (left === 0) return
    if (Atomics.compareExchange(control, words.left, left, left - 1) !== left) continue
    try {
      const scratch = control[words.scratch] + number * control[words.scratchBytes]
      run[control[words.kernel]](control[words.record], control[words.end] - left, scratch)
    } catch {
      Atomics.store(control, words.failed, 1)
    }
    if (Atomics.sub(control, words.unfinished, 1) === 1) Atomics.notify(control, words.unfinished)
  }
}
