import { describe } from '../errors.ts'
import { binaryNode, constantNode, unaryNode } from './construct.ts'
import type { BinaryOperator, ExpressionNode, UnaryOperator, ValueType } from './node.ts'
import { printExpression } from './print.ts'
import { rejected } from './rejected.ts'

type Typed<T extends ValueType> = ExpressionNode & { readonly type: T }

export type BoolOperand = BoolExpression | boolean
export type IntOperand = IntExpression | number
/** A float method converts an int operand: exact up to 2²⁴, beyond which float32 kernels round. */
export type FloatOperand = FloatExpression | IntExpression | number

/** A truth about a pair of tokens. */
export class BoolExpression {
  readonly node: Typed<'bool'>

  constructor(node: ExpressionNode) {
    this.node = typed('bool', node)
  }

  and(...others: readonly BoolOperand[]): BoolExpression {
    return this.chain('and', others)
  }

  or(...others: readonly BoolOperand[]): BoolExpression {
    return this.chain('or', others)
  }

  not(): BoolExpression {
    return new BoolExpression(unaryNode('not', this.node))
  }

  toString(): string {
    return printExpression(this.node)
  }

  private chain(operator: 'and' | 'or', others: readonly BoolOperand[]): BoolExpression {
    const operands = others.map((other) => boolNode(`the operand of ${operator}()`, other))
    return new BoolExpression(operands.reduce<ExpressionNode>((left, right) => binaryNode(operator, left, right), this.node))
  }
}

/** What whole numbers and floats have in common; operands and results stay of one type. */
abstract class NumberExpression<Operand, Self extends NumberExpression<Operand, Self>> {
  abstract readonly node: ExpressionNode
  protected abstract make(node: ExpressionNode): Self
  protected abstract operand(method: string, value: Operand): ExpressionNode

  add(other: Operand): Self {
    return this.binary('add', 'add', other)
  }

  sub(other: Operand): Self {
    return this.binary('subtract', 'sub', other)
  }

  mul(other: Operand): Self {
    return this.binary('multiply', 'mul', other)
  }

  /** The quotient rounded toward −∞. */
  floorDiv(other: Operand): Self {
    return this.binary('floorDivide', 'floorDiv', other)
  }

  /** The remainder of `floorDiv`, which has the divisor's sign. */
  mod(other: Operand): Self {
    return this.binary('modulo', 'mod', other)
  }

  min(other: Operand): Self {
    return this.binary('minimum', 'min', other)
  }

  max(other: Operand): Self {
    return this.binary('maximum', 'max', other)
  }

  clamp(lowest: Operand, highest: Operand): Self {
    return this.max(lowest).min(highest)
  }

  neg(): Self {
    return this.make(unaryNode('negate', this.node))
  }

  abs(): Self {
    return this.make(unaryNode('absolute', this.node))
  }

  lt(other: Operand): BoolExpression {
    return this.compare('less', 'lt', other)
  }

  le(other: Operand): BoolExpression {
    return this.compare('lessOrEqual', 'le', other)
  }

  gt(other: Operand): BoolExpression {
    return this.compare('greater', 'gt', other)
  }

  ge(other: Operand): BoolExpression {
    return this.compare('greaterOrEqual', 'ge', other)
  }

  eq(other: Operand): BoolExpression {
    return this.compare('equal', 'eq', other)
  }

  ne(other: Operand): BoolExpression {
    return this.compare('notEqual', 'ne', other)
  }

  toString(): string {
    return printExpression(this.node)
  }

  private binary(operator: BinaryOperator, method: string, other: Operand): Self {
    return this.make(binaryNode(operator, this.node, this.operand(method, other)))
  }

  private compare(operator: BinaryOperator, method: string, other: Operand): BoolExpression {
    return new BoolExpression(binaryNode(operator, this.node, this.operand(method, other)))
  }
}

/** A whole number of 32 bits; arithmetic wraps around. */
export class IntExpression extends NumberExpression<IntOperand, IntExpression> {
  readonly node: Typed<'int'>

  constructor(node: ExpressionNode) {
    super()
    this.node = typed('int', node)
  }

  toFloat(): FloatExpression {
    return new FloatExpression(unaryNode('toFloat', this.node))
  }

  protected make(node: ExpressionNode): IntExpression {
    return new IntExpression(node)
  }

  protected operand(method: string, value: IntOperand): ExpressionNode {
    return intNode(`the operand of ${method}()`, value)
  }
}

/** A float: float32 in kernels, float64 in the reference. */
export class FloatExpression extends NumberExpression<FloatOperand, FloatExpression> {
  readonly node: Typed<'float'>

  constructor(node: ExpressionNode) {
    super()
    this.node = typed('float', node)
  }

  div(other: FloatOperand): FloatExpression {
    return new FloatExpression(binaryNode('divide', this.node, floatNode('the operand of div()', other)))
  }

  exp(): FloatExpression {
    return this.unary('exp')
  }

  /** The natural logarithm. */
  log(): FloatExpression {
    return this.unary('log')
  }

  tanh(): FloatExpression {
    return this.unary('tanh')
  }

  floor(): FloatExpression {
    return this.unary('floor')
  }

  /** The floor as a whole number; beyond 32 bits the nearest there is. */
  toInt(): IntExpression {
    return new IntExpression(unaryNode('toInt', this.floor().node))
  }

  protected make(node: ExpressionNode): FloatExpression {
    return new FloatExpression(node)
  }

  protected operand(method: string, value: FloatOperand): ExpressionNode {
    return floatNode(`the operand of ${method}()`, value)
  }

  private unary(operator: UnaryOperator): FloatExpression {
    return new FloatExpression(unaryNode(operator, this.node))
  }
}

/** The node of a boolean, or of an operand that `part` takes as one. */
export function boolNode(part: string, value: unknown): ExpressionNode {
  return typeof value === 'boolean' ? constantNode('bool', value) : operandNode(part, ['bool'], value)
}

export function intNode(part: string, value: unknown): ExpressionNode {
  return typeof value === 'number' ? constantNode('int', value, part) : operandNode(part, ['int'], value)
}

export function floatNode(part: string, value: unknown): ExpressionNode {
  if (typeof value === 'number') return constantNode('float', value, part)
  const node = operandNode(part, ['float', 'int'], value)
  return node.type === 'int' ? unaryNode('toFloat', node) : node
}

/** The node of an expression made here or by another version of this package. */
export function nodeOf(value: unknown): ExpressionNode | undefined {
  return isExpression(value) ? value.node : undefined
}

function operandNode(part: string, types: readonly ValueType[], value: unknown): ExpressionNode {
  const node = nodeOf(value)
  if (node !== undefined && types.includes(node.type)) return node
  const expected = types.map((type) => (type === 'int' ? 'an int' : `a ${type}`)).join(' or ')
  throw rejected(part, expected, node === undefined ? describe(value) : node.type)
}

function isExpression(value: unknown): value is { readonly node: ExpressionNode } {
  if (typeof value !== 'object' || value === null || !('node' in value)) return false
  const { node } = value
  return typeof node === 'object' && node !== null && 'kind' in node && 'type' in node
}

function typed<T extends ValueType>(type: T, node: ExpressionNode): Typed<T> {
  if (isTyped(type, node)) return node
  throw rejected('expression', `of type ${type}`, `a ${node.type}`)
}

function isTyped<T extends ValueType>(type: T, node: ExpressionNode): node is Typed<T> {
  return node.type === type
}
