import { QkvError, type AttentionGradient, type AttentionProblem, type OwnedTensor, type Partial, type Tensor } from '@qkv/core'
import type { Engine } from '../engine.ts'
import type { Workspace } from '../memory/workspace.ts'
import * as portable from '../portable/index.ts'
import { attentionShape, expectReadable } from './attention.ts'
import { expectFloats, expectSameShape } from './checks.ts'

export function attentionGradient(
  space: Workspace,
  engine: Engine,
  problem: AttentionProblem,
  forward: Partial,
  dOutput: Tensor,
): AttentionGradient {
  expectReadable(space, problem)
  if (problem.keyScales !== undefined) {
    const { operation } = space
    const expected = 'a float dtype, as quantised keys have no gradient'
    throw new QkvError({ code: 'DTYPE_UNSUPPORTED', operation, argument: 'key', expected, received: problem.key.dtype })
  }
  const shape = attentionShape(problem)
  for (const [argument, tensor, expected] of [
    ['forward.output', forward.output, shape],
    ['forward.lse', forward.lse, shape.slice(0, 3)],
    ['dOutput', dOutput, shape],
  ] as const) {
    expectFloats(space, argument, tensor)
    expectSameShape(space, argument, tensor, expected)
  }
  const gradient = emptyGradient(space, problem)
  if (!engine.attentionGradient?.(space, problem, forward, dOutput, gradient)) {
    portable.attentionGradient(problem, forward, dOutput, gradient)
  }
  return gradient
}

/** Results of the shapes of what they are gradients of. */
function emptyGradient(space: Workspace, problem: AttentionProblem): AttentionGradient {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, bias, sinks, scoreMod } = problem
  const allocate = (shape: readonly number[]): OwnedTensor => space.result(shape, 'float32')
  return {
    dQuery: allocate([batch, queryHeads, queryLength, headDim]),
    dKey: allocate([batch, keyHeads, keyLength, headDim]),
    dValue: allocate([batch, keyHeads, keyLength, valueDim]),
    dBias: bias && allocate(portable.ownShape(bias)),
    dSinks: sinks && allocate([queryHeads]),
    captured: new Map(portable.capturedTensors(scoreMod).map((tensor) => [tensor, allocate(tensor.shape)])),
  }
}
