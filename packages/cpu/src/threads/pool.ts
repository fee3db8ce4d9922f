import { QkvError } from '@qkv/core'
import { spawnWorker, type Thread } from '../spawn.ts'
import { words, type WorkerStart } from './control.ts'

/** Work of equal units, each a call `kernel(record, unit, scratch)`; units may run in any order and at once. */
export interface Task {
  readonly kernel: string
  readonly record: number
  /** Scratch memory, `scratchBytes` for each thread. */
  readonly scratch: number
  readonly scratchBytes: number
  /** Multiplications and additions of all units; where that is little, the caller does them alone. */
  readonly work: number
}

/** What does tasks. */
export interface Crew {
  readonly threads: number
  /** Units `first ≤ unit < end`; returns when they are done. */
  run(task: Task, first: number, end: number): void
  /** How much scratch memory each thread needs for a kernel to work on a record. */
  scratchBytes(kernel: string, record: number): number
  dispose(): void
}

export interface Kernel {
  run(record: number, unit: number, scratch: number): unknown
  /** How much scratch memory it needs to work on a record; missing: none. */
  readonly scratchBytes?: ((record: number) => number) | undefined
}

/** By name. */
export type Kernels = Readonly<Record<string, Kernel>>

/** The calling thread alone. */
export function soloCrew(kernels: Kernels): Crew {
  return {
    threads: 1,
    run: (task, first, end) => runAlone(kernels, task, first, end),
    scratchBytes: (kernel, record) => scratchBytes(kernels, kernel, record),
    dispose() {},
  }
}

export interface PoolOptions {
  readonly memory: WebAssembly.Memory
  readonly module: WebAssembly.Module
  readonly kernels: Kernels
  /** The calling thread counts as one. */
  readonly threads: number
  /** Handing out less work than this costs more than it saves; see {@link Task.work}. */
  readonly worthSharing?: number | undefined
  /** Milliseconds for the threads to start. */
  readonly startDeadline?: number
  /** Milliseconds without any unit finishing, after which the pool counts as failed. */
  readonly patience?: number
  readonly spawn?: () => Thread
}

/**
 * A crew of worker threads that share one memory. The caller publishes a job as a few words of it, takes units like
 * everybody else, and when none are left waits for those still running: no messages, no promises, so handing out work to
 * threads that watch for it costs microseconds. Which thread runs which unit is chance; kernels must not depend on it.
 *
 * @throws QkvError `WORKER_FAILED` where the threads do not start in time.
 */
export async function openPool(options: PoolOptions): Promise<Crew> {
  const { memory, kernels, threads, worthSharing = 200_000, startDeadline = 10_000, patience = 30_000 } = options
  const control = new Int32Array(memory.buffer, 0, words.length)
  const names = Object.keys(kernels)
  const { workers, lost } = await startWorkers(options, names, startDeadline)
  const mayBlock = canBlock(control)
  let alive = true

  function dispose(): void {
    alive = false
    Atomics.store(control, words.stop, 1)
    Atomics.notify(control, words.generation)
    for (const worker of workers) worker.terminate()
  }

  function fail(received: string, cause?: unknown): never {
    dispose()
    throw workerFailed('units that finish', received, cause)
  }

  function publish({ kernel, record, scratch, scratchBytes }: Task, first: number, end: number): void {
    control[words.kernel] = names.indexOf(kernel)
    control[words.record] = record
    control[words.end] = end
    control[words.scratch] = scratch
    control[words.scratchBytes] = scratchBytes
    Atomics.store(control, words.unfinished, end - first)
    Atomics.store(control, words.left, end - first)
    Atomics.add(control, words.generation, 1)
    if (Atomics.load(control, words.sleepers) > 0) Atomics.notify(control, words.generation)
  }

  /** As in worker.js. A unit that fails counts as finished: memory is given back only when no thread writes to it any more. */
  function takeUnits({ kernel, record, scratch }: Task, end: number): unknown {
    const { run } = kernels[kernel]!
    let cause: unknown
    for (;;) {
      const left = Atomics.load(control, words.left)
      if (left === 0) return cause
      if (Atomics.compareExchange(control, words.left, left, left - 1) !== left) continue
      try {
        run(record, end - left, scratch)
      } catch (error) {
        cause = error
        Atomics.store(control, words.failed, 1)
      }
      Atomics.sub(control, words.unfinished, 1)
    }
  }

  function awaitOthers(cause: unknown): void {
    let since = 0
    let before = 0
    for (let turn = 1; ; turn++) {
      const unfinished = Atomics.load(control, words.unfinished)
      if (unfinished === 0) break
      if (turn % 4096 !== 0) continue
      const now = performance.now()
      if (unfinished !== before) since = now
      before = unfinished
      if (now - since > patience) fail(`none in ${patience} ms`)
      if (mayBlock) Atomics.wait(control, words.unfinished, unfinished, 1)
    }
    if (Atomics.load(control, words.failed) !== 0) fail('a unit that did not', cause)
  }

  return {
    get threads() {
      return alive ? threads : 1
    },
    run(task, first, end) {
      if (lost.length > 0 && alive) fail('a worker that ended', lost[0])
      if (!alive || end - first <= 1 || task.work < worthSharing) return runAlone(kernels, task, first, end)
      publish(task, first, end)
      awaitOthers(takeUnits(task, end))
    },
    scratchBytes: (kernel, record) => scratchBytes(kernels, kernel, record),
    dispose,
  }
}

function runAlone(kernels: Kernels, { kernel, record, scratch }: Task, first: number, end: number): void {
  const { run } = kernels[kernel]!
  for (let unit = first; unit < end; unit++) run(record, unit, scratch)
}

/** Rounded up, so that no two threads write to one cache line. */
function scratchBytes(kernels: Kernels, kernel: string, record: number): number {
  return Math.ceil((kernels[kernel]?.scratchBytes?.(record) ?? 0) / 64) * 64
}

async function startWorkers(
  { memory, module, threads, spawn = spawnWorker }: PoolOptions,
  names: readonly string[],
  deadline: number,
): Promise<{ workers: readonly Thread[]; lost: readonly unknown[] }> {
  const workers: Thread[] = []
  const lost: unknown[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    const ready = Array.from({ length: threads - 1 }, (_, index) => {
      const worker = spawn()
      workers.push(worker)
      return new Promise<void>((resolve, reject) => {
        worker.onReady(resolve)
        worker.onEnd((cause) => {
          lost.push(cause)
          reject(workerFailed('workers that start', 'one that ended', cause))
        })
        const start: WorkerStart = { memory, module, kernels: names, words, number: index + 1 }
        worker.post(start)
      })
    })
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(workerFailed('workers that start', `none ready in ${deadline} ms`)), deadline)
    })
    await Promise.race([Promise.all(ready), late])
    return { workers, lost }
  } catch (error) {
    for (const worker of workers) worker.terminate()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** A browser's main thread may not: it keeps looking instead. */
function canBlock(control: Int32Array): boolean {
  try {
    Atomics.wait(control, words.stop, 1, 0)
    return true
  } catch {
    return false
  }
}

function workerFailed(expected: string, received: string, cause?: unknown): QkvError {
  return new QkvError({ code: 'WORKER_FAILED', operation: 'threads', argument: 'worker', expected, received, cause })
}
