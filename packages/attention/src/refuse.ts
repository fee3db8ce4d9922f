import { QkvError, describe, isHostTensor, type Backend, type HostTensor, type QkvErrorCode, type Tensor } from '@qkv/core'

/** What a function of this package throws: a {@link QkvError} that names the argument, what was expected and what came. */
export function refused(code: QkvErrorCode, operation: string, argument: string, expected: string, received: string): QkvError {
  return new QkvError({ code, operation, argument, expected, received })
}

/** For an option that cannot be. */
export function invalid(operation: string, argument: string, expected: string, received: string): QkvError {
  return refused('OPTION_INVALID', operation, argument, expected, received)
}

/** @throws QkvError `OPTION_INVALID` unless `backend` is one. */
export function checkBackend(operation: string, backend: Backend | undefined): asserts backend is Backend {
  if (typeof backend === 'object' && backend !== null && typeof backend.attention === 'function') return
  throw invalid(operation, 'backend', 'a backend (createBackend() of @qkv/attention/auto makes one)', describe(backend))
}

/** @throws QkvError `OPTION_INVALID` unless `value` is a whole number of at least `lowest`. */
export function checkCount(operation: string, argument: string, value: number, lowest = 1): void {
  if (Number.isSafeInteger(value) && value >= lowest) return
  throw invalid(operation, argument, `a whole number ≥ ${lowest}`, describe(value))
}

/** The same of several, by their names. */
export function checkSizes(operation: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) checkCount(operation, name, size)
}

/** @throws QkvError `OPTION_INVALID` unless all are whole numbers from `lowest` to `highest`. */
export function checkWhole(operation: string, argument: string, numbers: readonly number[], lowest: number, highest: number): void {
  const wrong = numbers.find((number) => !(Number.isSafeInteger(number) && number >= lowest && number <= highest))
  if (wrong !== undefined) throw invalid(operation, argument, `whole, from ${lowest} to ${highest}`, String(wrong))
}

/** @throws QkvError `SHAPE_MISMATCH` unless `shape` is `expected`, where −1 stands for any size. */
export function checkShape(operation: string, argument: string, shape: readonly number[], expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((size, axis) => expected[axis] === -1 || size === expected[axis])) return
  const wanted = expected.map((size) => (size === -1 ? '…' : size)).join(',')
  throw refused('SHAPE_MISMATCH', operation, argument, `[${wanted}]`, `[${shape.join(',')}]`)
}

/** The tensor itself. @throws QkvError `OPTION_INVALID` unless it is over a typed array. */
export function onHost(operation: string, argument: string, view: Tensor): HostTensor {
  if (isHostTensor(view)) return view
  throw invalid(operation, argument, 'in host memory, or given with its backend', 'one of a backend')
}
