import { checkTensor, isFloat, isHostTensor, QkvError, type Dtype, type Tensor } from '@qkv/core'
import type { Arena } from '../memory/arena.ts'
import { ArenaTensor, cpuStorage } from '../memory/storage.ts'

/** What every operation is given. */
export interface Checks {
  readonly operation: string
  readonly arena: Arena
}

/** @throws QkvError unless the tensor is over a typed array, or a living one of this backend. */
export function expectOurs({ arena, operation }: Checks, argument: string, tensor: Tensor): void {
  if (!isHostTensor(tensor)) cpuStorage(arena, operation, argument, tensor)
}

/** @throws QkvError unless it is a tensor that we can read, with floats in it. */
export function expectFloats(checks: Checks, argument: string, tensor: Tensor): void {
  expectReadable(checks, argument, tensor)
  if (!isFloat(tensor.dtype)) throw unsupported(checks, argument, tensor, 'float32, float16 or bfloat16')
}

export function expectReadable(checks: Checks, argument: string, tensor: Tensor): void {
  // What an arena has made is as it should be, and most operands are such.
  if (!(tensor instanceof ArenaTensor)) checkTensor(checks.operation, argument, tensor)
  expectOurs(checks, argument, tensor)
}

/** @throws QkvError unless it is a living tensor of this backend, which may be written over. */
export function expectWritable(checks: Checks, argument: string, tensor: Tensor): void {
  expectReadable(checks, argument, tensor)
  if (!isHostTensor(tensor)) return
  const { operation } = checks
  const expected = 'a tensor of this backend'
  throw new QkvError({ code: 'OPTION_INVALID', operation, argument, expected, received: 'one over a typed array' })
}

/** @throws QkvError `DTYPE_UNSUPPORTED` unless it holds one of these. */
export function expectDtype(checks: Checks, argument: string, tensor: Tensor, ...expected: readonly Dtype[]): void {
  if (!expected.includes(tensor.dtype)) throw unsupported(checks, argument, tensor, expected.join(' or '))
}

function unsupported({ operation }: Checks, argument: string, { dtype }: Tensor, expected: string): QkvError {
  return new QkvError({ code: 'DTYPE_UNSUPPORTED', operation, argument, expected, received: dtype })
}

/** What an error says was expected; made only where there is an error, if it takes any making. */
export type Expected = string | (() => string)

/** @throws QkvError `SHAPE_MISMATCH` unless the shape fits, where missing sizes may be anything. */
export function expectShape({ operation }: Checks, argument: string, tensor: Tensor, holds: boolean, expected: Expected): void {
  if (holds) return
  throw new QkvError({
    code: 'SHAPE_MISMATCH',
    operation,
    argument,
    expected: typeof expected === 'string' ? expected : expected(),
    received: `[${tensor.shape.join(',')}]`,
  })
}

export function hasShape({ shape }: Tensor, expected: readonly number[]): boolean {
  if (shape.length !== expected.length) return false
  for (let axis = 0; axis < shape.length; axis++) if (shape[axis] !== expected[axis]) return false
  return true
}

export function expectSameShape(checks: Checks, argument: string, tensor: Tensor, expected: readonly number[]): void {
  expectShape(checks, argument, tensor, hasShape(tensor, expected), () => `[${expected.join(',')}]`)
}
