import { QkvError, checkTensor, describe, isFloat, type HostTensor } from '@qkv/core'

/** An option or position that an encoding cannot take. */
export function refused(operation: string, argument: string, expected: string, received: unknown): QkvError {
  return new QkvError({ code: 'OPTION_INVALID', operation, argument, expected, received: describe(received) })
}

/** A tensor of another shape than an encoding's. */
export function misshapen(operation: string, argument: string, expected: string, shape: readonly number[]): QkvError {
  return new QkvError({ code: 'SHAPE_MISMATCH', operation, argument, expected, received: `[${shape.join(',')}]` })
}

/** @throws QkvError unless `value` is a whole number of at least `lowest`. */
export function checkCount(operation: string, argument: string, value: number, lowest = 1): number {
  if (Number.isSafeInteger(value) && value >= lowest) return value
  throw refused(operation, argument, `a whole number ≥ ${lowest}`, value)
}

/** @throws QkvError unless `value` is an even number of elements. */
export function checkEven(operation: string, argument: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 2 && value % 2 === 0) return value
  throw refused(operation, argument, 'an even number ≥ 2', value)
}

/** @throws QkvError unless `value` is a finite number above 0. */
export function checkPositive(operation: string, argument: string, value: number | undefined): number {
  if (value !== undefined && Number.isFinite(value) && value > 0) return value
  throw refused(operation, argument, 'a positive number', value)
}

/** @throws QkvError unless `value` is one of a few names. */
export function checkOneOf(operation: string, argument: string, value: string, names: readonly string[]): void {
  if (!names.includes(value)) throw refused(operation, argument, `one of ${names.join(', ')}`, value)
}

/**
 * The sizes of a float tensor.
 *
 * @param shape its sizes; a name stands for any size above 0
 * @throws QkvError unless `value` is a float tensor of that shape.
 */
export function checkTable(operation: string, argument: string, value: HostTensor, shape: readonly (number | string)[]): number[] {
  checkTensor(operation, argument, value)
  if (!isFloat(value.dtype)) throw refused(operation, argument, 'of a float dtype', value.dtype)
  const fits = (size: number, axis: number): boolean => (typeof shape[axis] === 'string' ? size > 0 : size === shape[axis])
  if (value.shape.length !== shape.length || !value.shape.every(fits)) {
    throw misshapen(operation, argument, `[${shape.join(', ')}]`, value.shape)
  }
  return [...value.shape]
}
