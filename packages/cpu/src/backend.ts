import { QkvError, type Backend } from '@qkv/core'
import type { Engine, OpenedEngine } from './engine.ts'
import { Arena } from './memory/arena.ts'
import { Workspace } from './memory/workspace.ts'
import { attention, merge } from './operations/attention.ts'
import { attentionGradient } from './operations/gradient.ts'
import * as layers from './operations/layers.ts'
import { attentionInSteps } from './operations/steps.ts'
import * as tensors from './operations/tensors.ts'
import { openEngine, type CpuOptions } from './open-engine.ts'

export interface CpuMemory {
  /** Bytes that tensors hold. */
  readonly used: number
  /** Bytes taken from the system, which only `dispose()` gives back. */
  readonly reserved: number
  /** Tensors that have not been disposed. */
  readonly tensors: number
}

export interface CpuBackend extends Backend {
  memory(): CpuMemory
}

/**
 * A backend on the CPU.
 *
 * @throws QkvError `OPTION_INVALID`; `WASM_UNAVAILABLE` and `WORKER_FAILED` where an engine or threads that were asked
 * for by name or number are not to be had.
 */
export async function createCpuBackend(options: CpuOptions = {}): Promise<CpuBackend> {
  return backendOf(await openEngine(options))
}

export function backendOf({ engine, memory, start }: OpenedEngine, arena: Arena = new Arena(memory, start)): CpuBackend {
  let disposed = false

  function checkAlive(operation: string): void {
    if (!disposed) return
    throw new QkvError({
      code: 'DISPOSED',
      operation,
      argument: 'backend',
      expected: 'a living backend',
      received: 'a disposed one',
    })
  }

  /** Workspaces that nobody uses; there are as many as operations were ever at work at once. */
  const idle: Workspace[] = []

  function begin(operation: string): Workspace {
    checkAlive(operation)
    return (idle.pop() ?? new Workspace(arena)).begin(operation)
  }

  function end(space: Workspace): void {
    space.release()
    idle.push(space)
  }

  /** A method, from the operation that does its work. */
  function method<Given extends readonly unknown[], Result>(
    name: string,
    operation: (space: Workspace, engine: Engine, ...given: Given) => Result,
  ): (...given: Given) => Result {
    return (...given) => {
      const space = begin(name)
      try {
        return operation(space, engine, ...given)
      } catch (error) {
        space.fail()
        throw error
      } finally {
        end(space)
      }
    }
  }

  const read = method('read', tensors.read)
  const backend: CpuBackend = {
    name: 'cpu',
    get description() {
      return `CPU, ${engine.description}`
    },
    memory() {
      const { used, reserved, blocks } = arena.report
      return { used, reserved, tensors: blocks }
    },

    attention: method('attention', attention),
    async attentionInSteps(problem, request) {
      const space = begin('attention')
      try {
        return await attentionInSteps(space, engine, problem, request, () => checkAlive('attention'))
      } catch (error) {
        space.fail()
        throw error
      } finally {
        end(space)
      }
    },
    attentionGradient: method('attentionGradient', attentionGradient),
    merge: method('merge', merge),

    linear: method('linear', layers.linear),
    rmsNorm: method('rmsNorm', layers.rmsNorm),
    layerNorm: method('layerNorm', layers.layerNorm),
    activate: method('activate', layers.activate),
    add: method('add', layers.add),
    multiply: method('multiply', layers.multiply),
    gather: method('gather', layers.gather),
    copy: method('copy', layers.copy),
    quantize: method('quantize', layers.quantize),
    rotate: method('rotate', layers.rotate),

    empty: method('empty', tensors.empty),
    upload: method('upload', tensors.upload),
    read: async (tensor) => read(tensor),

    dispose() {
      if (disposed) return
      disposed = true
      engine.dispose()
      arena.release()
    },
    [Symbol.dispose]() {
      backend.dispose()
    },
  }
  return backend
}
