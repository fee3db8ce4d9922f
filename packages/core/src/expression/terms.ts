import type { HostTensor } from '../tensor.ts'
import { captureNode, checkCapture, checkScalar, constantNode, scalarNode, selectNode } from './construct.ts'
import type { CapturedScalar, ExpressionNode, ValueType } from './node.ts'
import {
  BoolExpression,
  FloatExpression,
  IntExpression,
  boolNode,
  floatNode,
  intNode,
  nodeOf,
  type BoolOperand,
  type FloatOperand,
  type IntOperand,
} from './value.ts'

/** `then` where the condition holds, `otherwise` elsewhere. Two plain numbers are ints; `float(…)` makes a float. */
export function select(condition: BoolOperand, then: BoolOperand, otherwise: BoolOperand): BoolExpression
export function select(condition: BoolOperand, then: IntOperand, otherwise: IntOperand): IntExpression
export function select(condition: BoolOperand, then: FloatOperand, otherwise: FloatOperand): FloatExpression
export function select(
  condition: BoolOperand,
  then: BoolOperand | FloatOperand,
  otherwise: BoolOperand | FloatOperand,
): BoolExpression | IntExpression | FloatExpression {
  const types = [then, otherwise].map((value) => (typeof value === 'boolean' ? 'bool' : nodeOf(value)?.type))
  const type = types.find((found) => found === 'bool') ?? types.find((found) => found === 'float') ?? 'int'
  const branch = (value: unknown) => nodeMakers[type]('a branch of select()', value)
  return expressionOf(selectNode(boolNode('the condition of select()', condition), branch(then), branch(otherwise)))
}

/** A constant; where a method takes plain numbers, it is not needed. */
export function int(value: number): IntExpression {
  return new IntExpression(constantNode('int', value, 'int()'))
}

/** A constant, rounded to float32. */
export function float(value: number): FloatExpression {
  return new FloatExpression(constantNode('float', value, 'float()'))
}

/** A tensor that an expression reads; its elements count as they are when the expression is evaluated. */
export interface Captured<Element> {
  /** One element. Every index must be provably within the tensor for all tokens of a call; `clamp` makes it so. */
  at(...indices: readonly IntOperand[]): Element
}

/**
 * Lets an expression read a tensor: `'float'` for float dtypes, `'int'` for int8, uint8 and int32, `'bool'` for bool.
 *
 *     const slope = capture(tensor([0.5, 0.25], [2]))
 *     const alibi = scoreMod((score, { head, query, key }) => score.add(slope.at(head).mul(key.sub(query))))
 */
export function capture(tensor: HostTensor, type?: 'float'): Captured<FloatExpression>
export function capture(tensor: HostTensor, type: 'int'): Captured<IntExpression>
export function capture(tensor: HostTensor, type: 'bool'): Captured<BoolExpression>
export function capture(tensor: HostTensor, type: ValueType = 'float'): Captured<BoolExpression | IntExpression | FloatExpression> {
  checkCapture(type, tensor)
  return Object.freeze({
    at(...indices: readonly IntOperand[]) {
      return expressionOf(
        captureNode(
          type,
          tensor,
          indices.map((index, axis) => intNode(`at() index ${axis}`, index)),
        ),
      )
    },
  })
}

/**
 * A number that may change between calls without compiling anything again: assign its `value`.
 *
 *     const reach = scalar('reach', 512, 'int')
 *     const window = maskMod(({ query, key }) => query.sub(key).lt(reach))
 *     reach.value = 1024
 */
export function scalar(name: string, value: number, type?: 'float'): FloatScalar
export function scalar(name: string, value: number, type: 'int'): IntScalar
export function scalar(name: string, value: number, type: 'int' | 'float' = 'float'): FloatScalar | IntScalar {
  return type === 'int' ? new IntScalar({ name, value }) : new FloatScalar({ name, value })
}

export class FloatScalar extends FloatExpression {
  readonly #scalar: CapturedScalar

  constructor(captured: CapturedScalar) {
    super(scalarNode('float', captured))
    this.#scalar = captured
  }

  get value(): number {
    return this.#scalar.value
  }

  set value(value: number) {
    checkScalar('float', this.#scalar.name, value)
    this.#scalar.value = value
  }
}

export class IntScalar extends IntExpression {
  readonly #scalar: CapturedScalar

  constructor(captured: CapturedScalar) {
    super(scalarNode('int', captured))
    this.#scalar = captured
  }

  get value(): number {
    return this.#scalar.value
  }

  set value(value: number) {
    checkScalar('int', this.#scalar.name, value)
    this.#scalar.value = value
  }
}

function expressionOf(node: ExpressionNode): BoolExpression | IntExpression | FloatExpression {
  if (node.type === 'bool') return new BoolExpression(node)
  return node.type === 'int' ? new IntExpression(node) : new FloatExpression(node)
}

const nodeMakers = { bool: boolNode, int: intNode, float: floatNode }
