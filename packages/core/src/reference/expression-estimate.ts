import { decoder } from '../convert.ts'
import { binaryThunk, unaryThunk } from '../expression/arithmetic.ts'
import type { BinaryOperator, ExpressionNode, IndexName, UnaryOperator, ValueType } from '../expression/node.ts'
import { foldExpression, type ExpressionVisitor } from '../expression/visit.ts'
import type { HostTensor } from '../tensor.ts'
import { add, divide, exact, exp, log, multiply, subtract, tanh, type Arithmetic, type Estimate } from '../estimate.ts'

/** Where an expression is evaluated, and the score so far with its error. */
export type PairEstimate = Readonly<Record<IndexName, number>> & { readonly score: Estimate }

type At = (pair: PairEstimate) => Estimate

/**
 * An expression evaluated together with the error of a float32 kernel that evaluates it. Where an error reaches a
 * decision (a comparison, a floor), both outcomes count: the error then spans the distance between them.
 */
export function estimateExpression(root: ExpressionNode, arithmetic: Arithmetic): At {
  const visitor: ExpressionVisitor<At> = {
    constant: ({ value }) => constant(exact(Number(value))),
    index:
      ({ name }) =>
      (pair) =>
        exact(pair[name]),
    score: () => (pair) => pair.score,
    scalar:
      ({ type, scalar }) =>
      () =>
        exact(type === 'int' ? scalar.value | 0 : Math.fround(scalar.value)),
    capture: ({ tensor }, indices) => captured(tensor, indices),
    unary: ({ operator, operand }, x) => once(unary(operator, operand.type, x, arithmetic)),
    binary: ({ operator, left }, a, b) => once(binary(operator, left.type, a, b, arithmetic)),
    select: (_, condition, then, otherwise) => once(select(condition, then, otherwise)),
  }
  return foldExpression(root, visitor)
}

function constant(value: Estimate): At {
  return () => value
}

/** Several nodes may share this one; a pair of tokens is a new object each time. */
function once(evaluate: At): At {
  let last: PairEstimate | undefined
  let result = exact(NaN)
  return (pair) => {
    if (pair !== last) result = evaluate(pair)
    last = pair
    return result
  }
}

function captured({ dtype, storage, offset, strides }: HostTensor, indices: readonly At[]): At {
  const decode = decoder(dtype)
  return (pair) => {
    const at = indices.map((index) => index(pair))
    const element = at.reduce((sum, { value }, axis) => sum + value * (strides[axis] ?? 0), offset)
    const value = decode(storage[element] ?? NaN)
    return { value, error: at.some(({ error }) => error > 0) ? Infinity : 0 }
  }
}

function select(condition: At, then: At, otherwise: At): At {
  return (pair) => {
    const chosen = condition(pair)
    const [taken, left] = chosen.value === 1 ? [then, otherwise] : [otherwise, then]
    const result = taken(pair)
    if (chosen.error === 0) return result
    const other = left(pair)
    return { value: result.value, error: Math.max(result.error, Math.abs(other.value - result.value) + other.error) }
  }
}

function unary(operator: UnaryOperator, type: ValueType, x: At, arithmetic: Arithmetic): At {
  let input = 0
  const exactly = unaryThunk(operator, type, () => input)
  return (pair) => {
    const a = x(pair)
    input = a.value
    const value = exactly()
    switch (operator) {
      case 'exp':
        return exp(a, arithmetic)
      case 'log':
        return log(a, arithmetic)
      case 'tanh':
        return tanh(a, arithmetic)
      case 'floor':
        return floorOf(a)
      case 'toFloat':
        return { value, error: a.error + Math.abs(value - Math.fround(value)) }
      default:
        return { value, error: a.error }
    }
  }
}

function binary(operator: BinaryOperator, type: ValueType, left: At, right: At, arithmetic: Arithmetic): At {
  let a = exact(NaN)
  let b = a
  const exactly = binaryThunk(
    operator,
    type,
    () => a.value,
    () => b.value,
  )
  const floatResult = type === 'float' ? floatArithmetic[operator] : undefined
  return (pair) => {
    a = left(pair)
    b = right(pair)
    if (floatResult) return floatResult(a, b, arithmetic)
    const value = exactly()
    return { value, error: decisionError(operator, a, b, value) }
  }
}

type FloatArithmetic = (a: Estimate, b: Estimate, arithmetic: Arithmetic) => Estimate

const floatArithmetic: Readonly<Partial<Record<BinaryOperator, FloatArithmetic>>> = {
  add,
  subtract,
  multiply,
  divide,
  floorDivide: (a, b, arithmetic) => floorOf(divide(a, b, arithmetic)),
  /** a − b·⌊a/b⌋ */
  modulo: (a, b, arithmetic) => subtract(a, multiply(b, floorOf(divide(a, b, arithmetic)), arithmetic), arithmetic),
}

function floorOf({ value, error }: Estimate): Estimate {
  const floor = Math.floor(value)
  return { value: floor, error: Math.max(Math.floor(value + error) - floor, floor - Math.floor(value - error)) }
}

/** Errors where operands are whole numbers, truths, or compared: nothing is rounded, but errors are passed on. */
function decisionError(operator: BinaryOperator, a: Estimate, b: Estimate, value: number): number {
  const errors = a.error + b.error
  if (errors === 0) return 0
  switch (operator) {
    case 'minimum':
    case 'maximum':
      return Math.max(a.error, b.error)
    case 'add':
    case 'subtract':
      return errors
    case 'equal':
    case 'notEqual':
    case 'less':
    case 'lessOrEqual':
    case 'greater':
    case 'greaterOrEqual':
      return Math.abs(a.value - b.value) <= errors ? 1 : 0
    case 'and':
      return isCertainly(a, 0) || isCertainly(b, 0) ? 0 : 1
    case 'or':
      return isCertainly(a, 1) || isCertainly(b, 1) ? 0 : 1
    default:
      return Number.isNaN(value) ? 0 : Infinity
  }
}

function isCertainly({ value, error }: Estimate, truth: number): boolean {
  return value === truth && error === 0
}
