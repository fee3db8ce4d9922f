import {
  QkvError,
  stridesLike,
  type AttentionProblem,
  type AttentionRequest,
  type AttentionResult,
  type Partial,
  type Tensor,
} from '@qkv/core'
import { checkCaptures } from '@qkv/core/expression'
import type { Engine, Run } from '../engine.ts'
import { hostView } from '../memory/storage.ts'
import type { Workspace } from '../memory/workspace.ts'
import * as portable from '../portable/index.ts'
import { expectFloats, expectOurs, expectSameShape, expectShape, type Checks } from './checks.ts'

export function attention(
  space: Workspace,
  engine: Engine,
  problem: AttentionProblem,
  request: AttentionRequest = {},
): AttentionResult {
  const { result, run } = startAttention(space, engine, problem, request)
  run.run(0, run.units)
  return result
}

/** Results, and the work that fills them, in units of at most so many multiplications and additions where that can be. */
export function startAttention(
  space: Workspace,
  engine: Engine,
  problem: AttentionProblem,
  { lse }: AttentionRequest,
  mostWork: number = Infinity,
): { result: AttentionResult; run: Run } {
  expectReadable(space, problem)
  const { query } = problem
  const shape = attentionShape(problem)
  const result = {
    output: space.result(shape, query.dtype, stridesLike(shape, query)),
    lse: lse === true ? space.result(shape.slice(0, 3), 'float32') : undefined,
  }
  return { result, run: engine.attention?.(space, problem, result, mostWork) ?? portable.attention(problem, result) }
}

export function merge(space: Workspace, engine: Engine, partials: readonly Partial[]): AttentionResult {
  const first = checkPartials(space, partials)
  const { shape } = first
  const output = space.result(shape, first.dtype, stridesLike(shape, first))
  const lse = space.result(shape.slice(0, 3), 'float32')
  if (!engine.merge?.(space, partials, { output, lse })) {
    const parts = partials.map((part) => ({ output: hostView(part.output), lse: hostView(part.lse) }))
    portable.merge(parts, hostView(output), hostView(lse))
  }
  return { output, lse }
}

/** @returns [batch, queryHeads, queryLength, valueDim] */
export function attentionShape({ batch, queryHeads, queryLength, valueDim }: AttentionProblem): number[] {
  return [batch, queryHeads, queryLength, valueDim]
}

/**
 * @throws QkvError unless every tensor of the problem is over a typed array, or a living one of this backend, and its
 * expressions read within the tensors that they capture, as scalars and these are now.
 */
export function expectReadable(checks: Checks, problem: AttentionProblem): void {
  const { query, key, value, bias, mask, sinks, lengths, keyScales, valueScales } = problem
  expectOurs(checks, 'query', query)
  expectOurs(checks, 'key', key)
  expectOurs(checks, 'value', value)
  if (bias !== undefined) expectOurs(checks, 'bias', bias)
  if (mask !== undefined) expectOurs(checks, 'mask', mask)
  if (sinks !== undefined) expectOurs(checks, 'sinks', sinks)
  if (lengths !== undefined) expectOurs(checks, 'lengths', lengths)
  if (keyScales !== undefined) expectOurs(checks, 'keyScales', keyScales)
  if (valueScales !== undefined) expectOurs(checks, 'valueScales', valueScales)
  checkCaptures(checks.operation, problem)
}

/** @returns the first output. */
function checkPartials(checks: Checks, partials: readonly Partial[]): Tensor {
  const first = partials[0]?.output
  if (first === undefined) {
    throw new QkvError({
      code: 'OPTION_INVALID',
      operation: checks.operation,
      argument: 'partials',
      expected: 'at least one part',
      received: 'none',
    })
  }
  expectShape(checks, 'partials[0].output', first, first.shape?.length === 4, '[batch, heads, length, dim]')
  partials.forEach(({ output, lse }, index) => {
    expectFloats(checks, `partials[${index}].output`, output)
    expectSameShape(checks, `partials[${index}].output`, output, first.shape)
    expectFloats(checks, `partials[${index}].lse`, lse)
    expectSameShape(checks, `partials[${index}].lse`, lse, first.shape.slice(0, 3))
    if (lse.dtype === 'float32') return
    throw new QkvError({
      code: 'DTYPE_UNSUPPORTED',
      operation: checks.operation,
      argument: `partials[${index}].lse`,
      expected: 'float32',
      received: lse.dtype,
    })
  })
  return first
}
