import { QkvError, type AttentionProblem, type AttentionRequest, type AttentionResult, type Watch } from '@qkv/core'
import type { Engine } from '../engine.ts'
import type { Workspace } from '../memory/workspace.ts'
import { expectReadable, startAttention } from './attention.ts'

/** About how long a slice of work may keep everyone else waiting. */
const sliceMilliseconds = 20

/** Of one unit, which nothing can interrupt: at a fast kernel's pace a few slices. */
const mostWork = 2 ** 30

/**
 * Attention in slices between which the event loop turns, so that a page stays alive and a signal can arrive.
 *
 * @param checkAlive throws when the backend has been disposed meanwhile
 */
export async function attentionInSteps(
  space: Workspace,
  engine: Engine,
  problem: AttentionProblem,
  request: AttentionRequest & Watch,
  checkAlive: () => void,
): Promise<AttentionResult> {
  const { signal, onProgress } = request
  checkSignal(space, signal)
  const { result, run } = startAttention(space, engine, problem, request, mostWork)
  const turn = eventLoopTurns()
  try {
    const { units, grain = 1 } = run
    let slice = grain
    for (let done = 0; done < units;) {
      const end = Math.min(units, done + slice)
      const start = performance.now()
      run.run(done, end)
      slice = nextSlice(slice, grain, performance.now() - start)
      done = end
      onProgress?.(done / units)
      await turn.next()
      checkAlive()
      checkSignal(space, signal)
      expectReadable(space, problem)
    }
    if (units === 0) onProgress?.(1)
    return result
  } finally {
    turn.end()
  }
}

/** How many units the next slice should have by the pace of the last; at most twice as many, since one pace is no promise. */
function nextSlice(slice: number, grain: number, milliseconds: number): number {
  const growth = Math.min(2, sliceMilliseconds / Math.max(0.1, milliseconds))
  return Math.max(1, Math.floor((slice * growth) / grain)) * grain
}

function checkSignal({ operation }: Workspace, signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return
  throw new QkvError({
    code: 'ABORTED',
    operation,
    argument: 'signal',
    expected: 'not to be aborted',
    received: 'an aborted signal',
    cause: signal.reason,
  })
}

/** Turns of the event loop without the delay that timers are given. */
function eventLoopTurns(): { next(): Promise<void>; end(): void } {
  const { port1, port2 } = new MessageChannel()
  return {
    next: () =>
      new Promise((resolve) => {
        port1.onmessage = () => resolve()
        port2.postMessage(undefined)
      }),
    end: () => port1.close(),
  }
}
