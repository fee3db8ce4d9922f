import {
  checkTensor,
  dtypes,
  elementCount,
  isHostTensor,
  QkvError,
  type Backend,
  type HostTensor,
  type OwnedTensor,
  type TypedArray,
} from '@qkv/core'
import type { Engine, OpenedEngine } from './engine.ts'
import { Arena } from './memory/arena.ts'
import { allocateTensor, hostView } from './memory/storage.ts'
import { Workspace } from './memory/workspace.ts'
import { attention, merge } from './operations/attention.ts'
import { expectReadable } from './operations/checks.ts'
import { attentionGradient } from './operations/gradient.ts'
import * as layers from './operations/layers.ts'
import { attentionInSteps } from './operations/steps.ts'
import { openEngine } from './open-engine.ts'
import { copyElements, packed } from './portable/index.ts'

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

export interface CpuOptions {
  /**
   * What computes. `'auto'`, the default: WebAssembly with SIMD, or portable JavaScript where that is missing or a page
   * forbids it; the backend's description says which, and why.
   */
  readonly engine?: 'auto' | 'wasm' | 'javascript' | undefined
  /**
   * How many threads work, the caller's among them. `'auto'`, the default: as many as there are processors, up to 8, and
   * one where memory cannot be shared.
   */
  readonly threads?: number | 'auto' | undefined
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

  function run<T>(operation: string, work: (space: Workspace, engine: Engine) => T): T {
    checkAlive(operation)
    const space = new Workspace(arena, operation)
    try {
      return work(space, engine)
    } finally {
      space.release()
    }
  }

  const backend: CpuBackend = {
    name: 'cpu',
    description: `CPU, ${engine.description}`,
    memory() {
      const { used, reserved, blocks } = arena.report
      return { used, reserved, tensors: blocks }
    },

    attention: (problem, request = {}) => run('attention', (space) => attention(space, engine, problem, request)),
    async attentionInSteps(problem, request) {
      checkAlive('attention')
      const space = new Workspace(arena, 'attention')
      try {
        return await attentionInSteps(space, engine, problem, request, () => checkAlive('attention'))
      } finally {
        space.release()
      }
    },
    attentionGradient: (problem, forward, dOutput) =>
      run('attentionGradient', (space) => attentionGradient(space, engine, problem, forward, dOutput)),
    merge: (partials) => run('merge', (space) => merge(space, engine, partials)),

    linear: (input, weight, bias) => run('linear', (space) => layers.linear(space, engine, input, weight, bias)),
    rmsNorm: (input, weight, epsilon) => run('rmsNorm', (space) => layers.rmsNorm(space, engine, input, weight, epsilon)),
    layerNorm: (input, weight, bias, epsilon) =>
      run('layerNorm', (space) => layers.layerNorm(space, engine, input, weight, bias, epsilon)),
    activate: (input, activation) => run('activate', (space) => layers.activate(space, engine, input, activation)),
    add: (left, right) => run('add', (space) => layers.combine(space, engine, 'add', left, right)),
    multiply: (left, right) => run('multiply', (space) => layers.combine(space, engine, 'multiply', left, right)),
    gather: (table, indices) => run('gather', (space) => layers.gather(space, engine, table, indices)),
    copy: (source, target) => run('copy', (space) => layers.copy(space, engine, source, target)),
    quantize: (source, target, scales) => run('quantize', (space) => layers.quantize(space, engine, source, target, scales)),
    rotate: (input, table) => run('rotate', (space) => layers.rotate(space, engine, input, table)),

    empty: (shape, dtype = 'float32') => run('empty', () => empty(arena, shape, dtype)),
    upload: (tensor) => run('upload', (space) => upload(space, tensor)),
    async read(tensor) {
      return run('read', (space): TypedArray => {
        expectReadable(space, 'tensor', tensor)
        return packed(hostView(tensor)).storage
      })
    },

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

function empty(arena: Arena, shape: readonly number[], dtype: HostTensor['dtype']): OwnedTensor {
  const count = Array.isArray(shape) ? elementCount(shape) : NaN
  if (!dtypes.includes(dtype)) {
    throw new QkvError({
      code: 'DTYPE_UNSUPPORTED',
      operation: 'empty',
      argument: 'dtype',
      expected: `one of ${dtypes.join(', ')}`,
      received: String(dtype),
    })
  }
  if (!Number.isSafeInteger(count) || shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    throw new QkvError({
      code: 'SHAPE_MISMATCH',
      operation: 'empty',
      argument: 'shape',
      expected: 'an array of whole numbers ≥ 0',
      received: String(shape),
    })
  }
  const tensor = allocateTensor(arena, 'empty', shape, dtype)
  const { storage, offset } = hostView(tensor)
  storage.fill(0, offset, offset + count)
  return tensor
}

function upload(space: Workspace, tensor: HostTensor): OwnedTensor {
  checkTensor('upload', 'tensor', tensor)
  if (!isHostTensor(tensor)) {
    throw new QkvError({
      code: 'OPTION_INVALID',
      operation: 'upload',
      argument: 'tensor',
      expected: 'over a typed array',
      received: 'a tensor that a backend owns',
    })
  }
  const copy = allocateTensor(space.arena, 'upload', tensor.shape, tensor.dtype)
  copyElements(tensor, hostView(copy))
  return copy
}
