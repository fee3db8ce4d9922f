import { connect, type Host } from './connection.ts'
import type { Reply } from './protocol.ts'

/** A host as a worker of the page, which stays free to draw. */
export function startWorker(): Host {
  return connect((onReply, onDeath) => {
    const worker = new Worker(new URL('../host-worker.ts', import.meta.url), { type: 'module' })
    worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => onReply(data))
    worker.addEventListener('error', ({ message }) => onDeath(message || 'its worker did not start'))
    return { send: (question) => worker.postMessage(question), close: () => worker.terminate() }
  })
}
