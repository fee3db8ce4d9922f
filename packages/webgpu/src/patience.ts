import type { QkvError } from '@qkv/core'
import { refusal } from './errors.ts'
import type { Queue } from './queue.ts'

export interface Waiting {
  /** The caller's operation, for errors. */
  readonly operation: string
  /** Milliseconds in which the device must finish something. */
  readonly patience: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Waits for `done`. A device may hang without a word, so every wait also ends with the device's loss (`DEVICE_LOST`), with
 * an abort (`ABORTED`), and when the device finished nothing for as long as our patience lasts (`TIMEOUT`).
 */
export async function withPatience<T>(queue: Queue, done: Promise<T>, { operation, patience, signal }: Waiting): Promise<T> {
  checkSignal(operation, signal)
  const watches: (() => void)[] = []
  const ended = new Promise<never>((_, reject) => {
    watches.push(
      onAbort(signal, () => reject(aborted(operation, signal))),
      queue.onLost(reject),
      watchProgress(queue, patience, () => reject(stuck(operation, patience))),
    )
  })
  for (const promise of [done, ended]) promise.catch(() => undefined) // whichever loses the race is nobody's concern
  try {
    return await Promise.race([done, ended])
  } finally {
    for (const end of watches) end()
  }
}

function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  signal?.addEventListener('abort', listener, { once: true })
  return () => signal?.removeEventListener('abort', listener)
}

/** Calls `onStuck` once nothing was finished for `patience` milliseconds; the result ends the watch. */
function watchProgress(queue: Queue, patience: number, onStuck: () => void): () => void {
  let seen = queue.finished
  const timer = setInterval(() => {
    if (queue.finished === seen) onStuck()
    seen = queue.finished
  }, patience)
  return () => clearInterval(timer)
}

/** @throws QkvError `ABORTED` */
export function checkSignal(operation: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted(operation, signal)
}

function aborted(operation: string, signal: AbortSignal | undefined): QkvError {
  return refusal({ operation }, 'ABORTED', 'signal', 'not aborted', 'an aborted signal', signal?.reason)
}

function stuck(operation: string, patience: number): QkvError {
  return refusal({ operation }, 'TIMEOUT', 'device', `some progress within ${patience} ms`, 'none')
}
