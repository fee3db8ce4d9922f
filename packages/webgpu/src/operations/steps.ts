import type { AttentionResult, OwnedTensor, Watch } from '@qkv/core'
import { isDispatch, type Recorder } from '../commands.ts'
import type { Queue } from '../queue.ts'
import { checkSignal, withPatience } from '../patience.ts'

/** Runs an operation one submission at a time, reporting progress and obeying the signal in between. */
export async function inSteps(
  queue: Queue,
  operation: (recorder: Recorder) => AttentionResult,
  { signal, onProgress }: Watch,
  patience: number,
  bufferOf: (tensor: OwnedTensor) => GPUBuffer,
): Promise<AttentionResult> {
  checkSignal('attention', signal)
  const waiting = { operation: 'attention', patience, signal }
  const { result, commands, release } = queue.stage(operation)
  const total = commands.reduce((sum, command) => sum + (isDispatch(command) ? command.work : 0), 0)
  let done = 0
  try {
    for (let at = 0; at < commands.length;) {
      const step = queue.bounded(commands, at)
      queue.enqueue(step)
      await withPatience(queue, queue.flush(), waiting)
      await withPatience(queue, queue.idle(), waiting)
      at += step.length
      done += step.reduce((sum, command) => sum + (isDispatch(command) ? command.work : 0), 0)
      onProgress?.(total === 0 ? 1 : done / total)
      checkSignal('attention', signal)
    }
    await withPatience(queue, queue.check(bufferOf(result.output)), waiting)
    return result
  } catch (cause) {
    result.output.dispose()
    result.lse?.dispose()
    throw cause
  } finally {
    release()
  }
}
