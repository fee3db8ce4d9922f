import type { AttentionResult, Watch } from '@qkv/core'
import { isDispatch, type Command } from '../commands.ts'
import { checkSignal, withPatience } from '../patience.ts'
import type { Session } from '../session.ts'
import type { Workspace } from '../workspace.ts'

/** Runs attention one submission at a time, reporting progress and obeying the signal in between. */
export async function inSteps(
  session: Session,
  { signal, onProgress }: Watch,
  attend: (workspace: Workspace) => AttentionResult,
): Promise<AttentionResult> {
  const operation = 'attention'
  checkSignal(operation, signal)
  const { queue, patience } = session
  const waiting = { operation, patience, signal }
  const { result, commands, release } = queue.stage((recorder) => session.perform(operation, recorder, attend))
  const total = workOf(commands)
  let done = 0
  try {
    for (let at = 0; at < commands.length;) {
      const step = queue.bounded(commands, at)
      queue.enqueue(step)
      await withPatience(queue, queue.flush(), waiting)
      await withPatience(queue, queue.idle(), waiting)
      at += step.length
      done += workOf(step)
      onProgress?.(total === 0 ? 1 : done / total)
      checkSignal(operation, signal)
    }
    await withPatience(queue, queue.check(session.bufferOf(result.output)), waiting)
    return result
  } catch (cause) {
    result.output.dispose()
    result.lse?.dispose()
    throw cause
  } finally {
    release()
  }
}

function workOf(commands: readonly Command[]): number {
  return commands.reduce((sum, command) => sum + (isDispatch(command) ? command.work : 0), 0)
}
