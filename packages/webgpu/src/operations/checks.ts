import { broadcastTo, checkTensor, dtypes, elementCount, isFloat, isHostTensor, QkvError, type Dtype, type Tensor } from '@qkv/core'
import { refusal } from '../errors.ts'
import { gpuStorage } from '../storage.ts'

/** Whose operation refuses, and whose tensors it takes. */
export interface Checks {
  readonly operation: string
  readonly owner: symbol
}

/** @throws QkvError unless it is a tensor over a typed array, or a living one of this backend. */
export function expectReadable({ operation, owner }: Checks, argument: string, tensor: Tensor): void {
  checkTensor(operation, argument, tensor)
  if (!isHostTensor(tensor)) gpuStorage(owner, operation, argument, tensor)
}

/** @throws QkvError also unless it holds floats. */
export function expectFloats(checks: Checks, argument: string, tensor: Tensor): void {
  expectReadable(checks, argument, tensor)
  if (!isFloat(tensor.dtype)) throw refusal(checks, 'DTYPE_UNSUPPORTED', argument, 'float32, float16 or bfloat16', tensor.dtype)
}

/** @throws QkvError `SHAPE_MISMATCH` unless `holds`. */
export function expectShape(checks: Checks, argument: string, { shape }: Tensor, holds: boolean, expected: string): void {
  if (!holds) throw refusal(checks, 'SHAPE_MISMATCH', argument, expected, `[${shape.join(',')}]`)
}

/** @throws QkvError unless a tensor of such a shape and dtype can be. */
export function expectLayout(checks: Checks, shape: readonly number[], dtype: Dtype): void {
  if (!dtypes.includes(dtype)) throw refusal(checks, 'DTYPE_UNSUPPORTED', 'dtype', `one of ${dtypes.join(', ')}`, String(dtype))
  const whole = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0)
  if (whole && Number.isSafeInteger(elementCount(shape))) return
  throw refusal(checks, 'SHAPE_MISMATCH', 'shape', 'an array of whole numbers ≥ 0', String(shape))
}

/** @throws QkvError `OPTION_INVALID` unless `holds`. */
export function expectOption(checks: Checks, argument: string, holds: boolean, expected: string, received: unknown): void {
  if (!holds) throw refusal(checks, 'OPTION_INVALID', argument, expected, String(received))
}

/** `tensor` broadcast to a shape, or an error that names the argument. */
export function broadcastOperand(checks: Checks, argument: string, tensor: Tensor, shape: readonly number[]): Tensor {
  expectFloats(checks, argument, tensor)
  try {
    return broadcastTo(tensor, shape)
  } catch (cause) {
    if (!QkvError.is(cause)) throw cause
    throw refusal(checks, 'SHAPE_MISMATCH', argument, cause.expected, cause.received)
  }
}
