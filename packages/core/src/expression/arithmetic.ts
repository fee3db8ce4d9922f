import type { BinaryOperator, UnaryOperator, ValueType } from './node.ts'
import { rejected } from './rejected.ts'

/** A value still to be computed: a number, or 0 and 1 for a boolean. */
export type Thunk = () => number

export const lowestInt: number = -(2 ** 31)
export const highestInt: number = 2 ** 31 - 1

/**
 * What each operator means, for operands of `type`. Integers are exact and wrap at 32 bits; floats are computed in
 * float64 and never rounded to float32, so this is the reference that kernels approximate.
 */
export function unaryThunk(operator: UnaryOperator, type: ValueType, x: Thunk): Thunk {
  const int = type === 'int'
  switch (operator) {
    case 'negate':
      return int ? () => -x() | 0 : () => -x()
    case 'absolute':
      return int ? () => Math.abs(x()) | 0 : () => Math.abs(x())
    case 'exp':
      return () => Math.exp(x())
    case 'log':
      return () => Math.log(x())
    case 'tanh':
      return () => Math.tanh(x())
    case 'floor':
      return () => Math.floor(x())
    case 'not':
      return () => 1 - x()
    case 'toFloat':
      return x
    case 'toInt':
      return () => Math.max(lowestInt, Math.min(highestInt, x())) | 0
    default:
      throw rejected('operator', 'one of the language', `'${String(operator)}'`)
  }
}

export function binaryThunk(operator: BinaryOperator, type: ValueType, a: Thunk, b: Thunk): Thunk {
  const int = type === 'int'
  switch (operator) {
    case 'add':
      return int ? () => (a() + b()) | 0 : () => a() + b()
    case 'subtract':
      return int ? () => (a() - b()) | 0 : () => a() - b()
    case 'multiply':
      return int ? () => Math.imul(a(), b()) : () => a() * b()
    case 'divide':
      return () => a() / b()
    case 'floorDivide':
      return int ? () => Math.floor(a() / b()) | 0 : () => Math.floor(a() / b())
    case 'modulo':
      return int ? () => floorModulo(a(), b()) : () => floatModulo(a(), b())
    case 'minimum':
      return () => Math.min(a(), b())
    case 'maximum':
      return () => Math.max(a(), b())
    case 'equal':
      return () => (a() === b() ? 1 : 0)
    case 'notEqual':
      return () => (a() !== b() ? 1 : 0)
    case 'less':
      return () => (a() < b() ? 1 : 0)
    case 'lessOrEqual':
      return () => (a() <= b() ? 1 : 0)
    case 'greater':
      return () => (a() > b() ? 1 : 0)
    case 'greaterOrEqual':
      return () => (a() >= b() ? 1 : 0)
    case 'and':
      return () => a() & b()
    case 'or':
      return () => a() | b()
    default:
      throw rejected('operator', 'one of the language', `'${String(operator)}'`)
  }
}

/** The remainder that has the divisor's sign. */
export function floorModulo(a: number, b: number): number {
  const remainder = (a % b) | 0
  return remainder !== 0 && remainder < 0 !== b < 0 ? remainder + b : remainder
}

function floatModulo(a: number, b: number): number {
  return a - b * Math.floor(a / b)
}
