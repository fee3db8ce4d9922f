/** A worker thread, in Node as in browsers. */
export interface Thread {
  post(message: unknown): void
  /** `listener` hears that the thread is ready, or else what became of it, once. */
  onReady(listener: () => void): void
  onEnd(listener: (cause: unknown) => void): void
  terminate(): void
}

/** A thread that runs `worker.js`, which lies beside this module, in source as in what is published. */
export function spawnWorker(): Thread {
  const node = globalThis.process?.getBuiltinModule?.('node:worker_threads')
  return node
    ? nodeThread(new node.Worker(new URL('./worker.js', import.meta.url)))
    : webThread(new Worker(new URL('./worker.js', import.meta.url), { type: 'module' }))
}

/** It does not keep the process alive. */
function nodeThread(worker: import('node:worker_threads').Worker): Thread {
  worker.unref()
  return {
    post: (message) => worker.postMessage(message),
    onReady: (listener) => void worker.once('message', listener),
    onEnd(listener) {
      worker.once('error', listener)
      worker.once('exit', (code) => listener(new Error(`it ended with code ${code}`)))
    },
    terminate: () => void worker.terminate(),
  }
}

function webThread(worker: Worker): Thread {
  return {
    post: (message) => worker.postMessage(message),
    onReady: (listener) => worker.addEventListener('message', () => listener(), { once: true }),
    onEnd: (listener) => worker.addEventListener('error', (event) => listener(event.message), { once: true }),
    terminate: () => worker.terminate(),
  }
}
