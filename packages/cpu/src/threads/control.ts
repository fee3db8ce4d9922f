/**
 * The words of shared memory by which a pool's threads agree, counted in int32 from address 0. What different threads
 * write lies on different cache lines.
 */
export const words = {
  /** Counts the jobs; threads that see it change look for work. */
  generation: 16,
  /** Units that nobody has taken. */
  left: 32,
  /** Units that are not done. */
  unfinished: 48,
  /** Threads that sleep and must be woken. */
  sleepers: 64,
  /** The job: a kernel's number, the record it is called with, and the end of its units. */
  kernel: 80,
  record: 81,
  end: 82,
  /** Scratch memory: thread n has `scratchBytes` from `scratch + n · scratchBytes` on. */
  scratch: 83,
  scratchBytes: 84,
  /** Not 0 once a unit has failed. */
  failed: 96,
  /** Not 0 once threads should end. */
  stop: 97,
  length: 112,
} as const

/** What a worker is told first. */
export interface WorkerStart {
  readonly memory: WebAssembly.Memory
  readonly module: WebAssembly.Module
  /** The names of the exports that kernels' numbers stand for. */
  readonly kernels: readonly string[]
  readonly words: typeof words
  /** The thread's own; the one that hands out work is 0. */
  readonly number: number
}
