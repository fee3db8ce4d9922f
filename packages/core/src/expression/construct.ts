import { isFloat } from '../dtype.ts'
import { describe, type QkvError } from '../errors.ts'
import { checkTensor, isHostTensor, type HostTensor } from '../tensor.ts'
import { binaryThunk, highestInt, lowestInt, unaryThunk } from './arithmetic.ts'
import type { BinaryOperator, CapturedScalar, ExpressionNode, IndexName, UnaryOperator, ValueType } from './node.ts'
import { rejected } from './rejected.ts'
import { simplifiedBinary, simplifiedUnary } from './simplify.ts'

/**
 * The only makers of nodes. Each checks the types of its operands, folds constants and drops what changes nothing, so
 * whatever comes out is well-formed.
 */

export const scoreNode: ExpressionNode = /* @__PURE__ */ Object.freeze({ kind: 'score', type: 'float' })

/** Float constants are rounded to float32, which is what kernels compute with. */
export function constantNode(type: ValueType, value: number | boolean, part = 'constant'): ExpressionNode {
  const valid =
    type === 'bool' ? typeof value === 'boolean' : type === 'int' ? isInt32(value) : Number.isFinite(Math.fround(Number(value)))
  if (!valid || (type !== 'bool' && typeof value !== 'number')) {
    throw rejected(
      part,
      { bool: 'true or false', int: 'a whole number of 32 bits', float: 'a finite float32' }[type],
      describe(value),
    )
  }
  return Object.freeze({ kind: 'constant', type, value: type === 'float' ? Math.fround(Number(value)) + 0 : value })
}

export function indexNode(name: IndexName): ExpressionNode {
  if (!['batch', 'head', 'query', 'key', 'row'].includes(name)) {
    throw rejected('index', 'batch, head, query, key or row', describe(name))
  }
  return Object.freeze({ kind: 'index', type: 'int', name })
}

export function scalarNode(type: 'int' | 'float', scalar: CapturedScalar): ExpressionNode {
  checkScalar(type, scalar?.name, scalar?.value)
  return Object.freeze({ kind: 'scalar', type, scalar })
}

export function checkScalar(type: 'int' | 'float', name: string, value: number): void {
  if (type === 'int' ? isInt32(value) : Number.isFinite(value)) return
  throw rejected(`scalar ${describe(name)}`, type === 'int' ? 'a whole number of 32 bits' : 'a finite number', describe(value))
}

/** @throws QkvError where `indices` do not fit the tensor's shape or a constant one is out of its bounds. */
export function captureNode(type: ValueType, tensor: HostTensor, indices: readonly ExpressionNode[]): ExpressionNode {
  checkCapture(type, tensor)
  const { shape } = tensor
  if (indices.length !== shape.length) {
    const count = shape.length === 1 ? 'one index' : `${shape.length} indices`
    throw rejected('at()', `given ${count} for a captured tensor [${shape.join(',')}]`, String(indices.length))
  }
  indices.forEach((index, axis) => {
    if (index.type !== 'int') throw rejected(`at() index ${axis}`, 'an int', `a ${index.type}`)
    if (index.kind !== 'constant') return
    const size = shape[axis] ?? 0
    if (Number(index.value) < 0 || Number(index.value) >= size) {
      throw rejected(
        `at() index ${axis}`,
        `from 0 to ${size - 1}, within the captured tensor [${shape.join(',')}]`,
        String(index.value),
      )
    }
  })
  return Object.freeze({ kind: 'capture', type, tensor, indices: Object.freeze([...indices]) })
}

export function checkCapture(type: ValueType, tensor: HostTensor): void {
  checkTensor('capture', 'tensor', tensor)
  if (!isHostTensor(tensor)) throw rejected('tensor', 'over a typed array', 'a tensor in a backend’s memory', 'capture')
  const held = isFloat(tensor.dtype) ? 'float' : tensor.dtype === 'bool' ? 'bool' : 'int'
  if (type !== held)
    throw rejected(
      'tensor',
      `of ${type === 'int' ? 'an int' : `a ${type}`} dtype`,
      `${tensor.dtype} (capture(tensor, '${held}') reads it)`,
      'capture',
    )
}

export function unaryNode(operator: UnaryOperator, operand: ExpressionNode): ExpressionNode {
  const type = unaryType(operator, operand.type)
  if (type === undefined) throw mistyped(operator, [operand])
  const folded = fold(type, unaryThunk(operator, operand.type, constantThunk(operand)), [operand])
  return folded ?? simplifiedUnary(operator, operand) ?? Object.freeze({ kind: 'unary', type, operator, operand })
}

export function binaryNode(operator: BinaryOperator, left: ExpressionNode, right: ExpressionNode): ExpressionNode {
  const type = left.type === right.type ? binaryType(operator, left.type) : undefined
  if (type === undefined) throw mistyped(operator, [left, right])
  if (operator === 'modulo' || operator === 'floorDivide' || operator === 'divide') {
    if (right.kind === 'constant' && right.value === 0) throw rejected('divisor', 'other than 0', '0')
  }
  const thunk = binaryThunk(operator, left.type, constantThunk(left), constantThunk(right))
  const folded = fold(type, thunk, [left, right])
  return folded ?? simplifiedBinary(operator, left, right) ?? Object.freeze({ kind: 'binary', type, operator, left, right })
}

export function selectNode(condition: ExpressionNode, then: ExpressionNode, otherwise: ExpressionNode): ExpressionNode {
  if (condition.type !== 'bool' || then.type !== otherwise.type) throw mistyped('select', [condition, then, otherwise])
  if (condition.kind === 'constant') return condition.value ? then : otherwise
  if (then === otherwise) return then
  return Object.freeze({ kind: 'select', type: then.type, condition, then, otherwise })
}

const arithmetic: readonly string[] = ['add', 'subtract', 'multiply', 'floorDivide', 'modulo', 'minimum', 'maximum']
const orderings: readonly string[] = ['less', 'lessOrEqual', 'greater', 'greaterOrEqual']

function unaryType(operator: UnaryOperator, type: ValueType): ValueType | undefined {
  switch (operator) {
    case 'not':
      return type === 'bool' ? 'bool' : undefined
    case 'toFloat':
      return type === 'int' ? 'float' : undefined
    case 'toInt':
      return type === 'float' ? 'int' : undefined
    case 'negate':
    case 'absolute':
      return type === 'bool' ? undefined : type
    default:
      return type === 'float' ? 'float' : undefined
  }
}

function binaryType(operator: BinaryOperator, type: ValueType): ValueType | undefined {
  if (operator === 'equal' || operator === 'notEqual') return 'bool'
  if (operator === 'and' || operator === 'or') return type === 'bool' ? 'bool' : undefined
  if (operator === 'divide') return type === 'float' ? 'float' : undefined
  if (type === 'bool') return undefined
  return orderings.includes(operator) ? 'bool' : arithmetic.includes(operator) ? type : undefined
}

/** The constant that operands which are all constants make; none where it would not be a finite float. */
function fold(type: ValueType, thunk: () => number, operands: readonly ExpressionNode[]): ExpressionNode | undefined {
  if (operands.some(({ kind }) => kind !== 'constant')) return undefined
  const value = thunk()
  if (!Number.isFinite(Math.fround(value))) return undefined
  return constantNode(type, type === 'bool' ? value === 1 : value)
}

function constantThunk(node: ExpressionNode): () => number {
  return () => (node.kind === 'constant' ? Number(node.value) : NaN)
}

function isInt32(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= lowestInt && Number(value) <= highestInt
}

function mistyped(operator: string, operands: readonly ExpressionNode[]): QkvError {
  const types = operands.map(({ type }) => type).join(', ')
  return rejected(`the operands of ${describe(operator)}`, 'of types that go together', types)
}
