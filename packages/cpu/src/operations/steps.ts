import { QkvError, type AttentionProblem, type AttentionRequest, type AttentionResult, type Watch } from '@qkv/core'
import type { Engine, Run } from '../engine.ts'
import type { Workspace } from '../memory/workspace.ts'
import { disposeResult, expectProblemOurs, startAttention } from './attention.ts'

/** How long a slice of work keeps everyone else waiting. */
const sliceMilliseconds = 20

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
  const { result, run } = startAttention(space, engine, problem, request)
  const turn = eventLoopTurns()
  try {
    for (let done = 0; done < run.units;) {
      done = runSlice(run, done)
      onProgress?.(done / run.units)
      await turn.next()
      checkAlive()
      checkSignal(space, signal)
      expectProblemOurs(space, problem)
    }
    if (run.units === 0) onProgress?.(1)
    return result
  } catch (error) {
    disposeResult(result)
    throw error
  } finally {
    turn.end()
  }
}

/** Units from `done` on for about as long as a slice lasts; how many are done then. */
function runSlice(run: Run, done: number): number {
  const start = performance.now()
  let units = 1
  while (done < run.units) {
    const end = Math.min(run.units, done + units)
    run.run(done, end)
    done = end
    const elapsed = performance.now() - start
    if (elapsed > sliceMilliseconds / 2) break
    units *= 2
  }
  return done
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
