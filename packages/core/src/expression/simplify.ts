import type { BinaryOperator, ExpressionNode, UnaryOperator } from './node.ts'

/** The simpler node that `operator` of these operands equals, in every evaluation; undefined where there is none. */
export function simplifiedUnary(operator: UnaryOperator, operand: ExpressionNode): ExpressionNode | undefined {
  if (operand.kind !== 'unary') return undefined
  const inner = operand.operator
  if (operator === inner && (operator === 'not' || operator === 'negate')) return operand.operand
  if (operator === inner && (operator === 'absolute' || operator === 'floor')) return operand
  if (operator === 'floor' && inner === 'toFloat') return operand
  if (operator === 'toInt' && inner === 'toFloat') return operand.operand
  return undefined
}

export function simplifiedBinary(
  operator: BinaryOperator,
  left: ExpressionNode,
  right: ExpressionNode,
): ExpressionNode | undefined {
  const same = left === right
  const exact = left.type !== 'float'
  switch (operator) {
    case 'add':
      return is(right, 0) ? left : is(left, 0) ? right : undefined
    case 'subtract':
      return is(right, 0) ? left : same && exact ? zero : undefined
    case 'multiply':
      return is(right, 1) ? left : is(left, 1) ? right : exact && (is(left, 0) || is(right, 0)) ? zero : undefined
    case 'divide':
      return is(right, 1) ? left : undefined
    case 'floorDivide':
      return exact && is(right, 1) ? left : undefined
    case 'modulo':
      return exact && is(right, 1) ? zero : undefined
    case 'minimum':
    case 'maximum':
      return same ? left : undefined
    case 'and':
      return same || is(right, true) ? left : is(left, true) ? right : is(left, false) || is(right, false) ? never : undefined
    case 'or':
      return same || is(right, false) ? left : is(left, false) ? right : is(left, true) || is(right, true) ? always : undefined
    case 'equal':
    case 'lessOrEqual':
    case 'greaterOrEqual':
      return same && exact ? always : undefined
    case 'notEqual':
    case 'less':
    case 'greater':
      return same && exact ? never : undefined
  }
}

const zero: ExpressionNode = /* @__PURE__ */ Object.freeze({ kind: 'constant', type: 'int', value: 0 })
const always: ExpressionNode = /* @__PURE__ */ Object.freeze({ kind: 'constant', type: 'bool', value: true })
const never: ExpressionNode = /* @__PURE__ */ Object.freeze({ kind: 'constant', type: 'bool', value: false })

function is(node: ExpressionNode, value: number | boolean): boolean {
  return node.kind === 'constant' && node.value === value
}
