import { QkvError, type AttentionResult, type Watch } from '@qkv/core'
import { isDispatch, type Recorder } from '../commands.ts'
import type { Queue } from '../queue.ts'
import { withPatience } from '../readback.ts'

/** Runs an operation one submission at a time, reporting progress and obeying the signal in between. */
export async function inSteps(
  queue: Queue,
  operation: (recorder: Recorder) => AttentionResult,
  { signal, onProgress }: Watch,
  patience: number,
): Promise<AttentionResult> {
  checkSignal(signal)
  const { result, commands, release } = queue.stage(operation)
  const total = commands.reduce((sum, command) => sum + (isDispatch(command) ? command.work : 0), 0)
  let done = 0
  try {
    for (let at = 0; at < commands.length; ) {
      const step = queue.bounded(commands, at)
      queue.enqueue(step)
      await queue.flush()
      await withPatience(queue, queue.device.queue.onSubmittedWorkDone(), patience)
      at += step.length
      done += step.reduce((sum, command) => sum + (isDispatch(command) ? command.work : 0), 0)
      onProgress?.(total === 0 ? 1 : done / total)
      checkSignal(signal)
    }
    return result
  } catch (cause) {
    result.output.dispose()
    result.lse?.dispose()
    throw cause
  } finally {
    release()
  }
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  throw new QkvError({
    code: 'ABORTED',
    operation: 'attention',
    argument: 'signal',
    expected: 'not aborted',
    received: 'an aborted signal',
    cause: signal.reason,
  })
}
