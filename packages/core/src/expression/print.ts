import type { BinaryOperator, ExpressionNode, UnaryOperator } from './node.ts'
import { foldExpression } from './visit.ts'

/** Mathematics with how strongly its outermost operator binds. */
interface Text {
  readonly text: string
  readonly strength: number
}

const atom = 9
const sign = 8

/**
 * An expression as readable mathematics: `key ≤ query ∧ query − key < 512`. Captured tensors are t₀, t₁, … in order of
 * appearance; conversions between int and float are not shown.
 */
export function printExpression(root: ExpressionNode): string {
  const tensors: object[] = []
  const nameOf = (tensor: object): string => {
    if (!tensors.includes(tensor)) tensors.push(tensor)
    return `t${subscript(tensors.indexOf(tensor))}`
  }
  return foldExpression<Text>(root, {
    constant: ({ type, value }) => constant(type === 'bool' ? String(value) : shortest(Number(value))),
    index: ({ name }) => ({ text: name, strength: atom }),
    score: () => ({ text: 'score', strength: atom }),
    scalar: ({ scalar }) => ({ text: scalar.name, strength: atom }),
    capture: ({ tensor }, indices) => ({ text: `${nameOf(tensor)}[${indices.map(textOf).join(', ')}]`, strength: atom }),
    unary: ({ operator }, operand) => unary(operator, operand),
    binary: ({ operator }, left, right) => binary(operator, left, right),
    select: (_, condition, then, otherwise) => ({
      text: `${within(condition, 1)} ? ${within(then, 1)} : ${within(otherwise, 1)}`,
      strength: 0,
    }),
  }).text
}

const infix: Partial<Record<BinaryOperator, readonly [symbol: string, strength: number]>> = {
  or: ['∨', 1],
  and: ['∧', 2],
  equal: ['=', 4],
  notEqual: ['≠', 4],
  less: ['<', 4],
  lessOrEqual: ['≤', 4],
  greater: ['>', 4],
  greaterOrEqual: ['≥', 4],
  add: ['+', 5],
  subtract: ['−', 5],
  multiply: ['·', 6],
  divide: ['/', 6],
  modulo: ['mod', 6],
}

function binary(operator: BinaryOperator, left: Text, right: Text): Text {
  if (operator === 'floorDivide') return { text: `⌊${within(left, 6)} / ${within(right, 7)}⌋`, strength: atom }
  const [symbol, strength] = infix[operator] ?? []
  if (symbol === undefined || strength === undefined) {
    return { text: `${operator === 'minimum' ? 'min' : 'max'}(${left.text}, ${right.text})`, strength: atom }
  }
  const associative = operator === 'and' || operator === 'or' || operator === 'add' || operator === 'multiply'
  const comparison = strength === 4
  return {
    text: `${within(left, comparison ? 5 : strength)} ${symbol} ${within(right, associative ? strength : strength + 1)}`,
    strength,
  }
}

function unary(operator: UnaryOperator, operand: Text): Text {
  switch (operator) {
    case 'negate':
      return { text: `−${within(operand, sign)}`, strength: 5 }
    case 'not':
      return { text: `¬${within(operand, sign)}`, strength: sign }
    case 'absolute':
      return { text: `|${operand.text}|`, strength: atom }
    case 'floor':
      return { text: `⌊${operand.text}⌋`, strength: atom }
    case 'toFloat':
    case 'toInt':
      return operand
    default:
      return { text: `${operator}(${operand.text})`, strength: atom }
  }
}

function within({ text, strength }: Text, least: number): string {
  return strength < least ? `(${text})` : text
}

function textOf({ text }: Text): string {
  return text
}

function constant(text: string): Text {
  return { text: text.replace('-', '−'), strength: text.startsWith('-') ? 5 : atom }
}

/** The shortest decimal that names the same float32. */
function shortest(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)))
    if (Math.fround(Number(text)) === value) return text
  }
  return String(value)
}

function subscript(index: number): string {
  return [...String(index)].map((digit) => '₀₁₂₃₄₅₆₇₈₉'[Number(digit)]).join('')
}
