import {
  isFloat,
  type BinaryOperator,
  type CapturedScalar,
  type ExpressionNode,
  type HostTensor,
  type QkvError,
  type UnaryOperator,
  type ValueType,
} from '@qkv/core'
import { refusal } from '../errors.ts'

/**
 * The tensors and scalars that expressions capture, numbered by first appearance. Several expressions compiled into one
 * kernel share them.
 */
export interface Captures {
  readonly tensors: HostTensor[]
  readonly scalars: CapturedScalar[]
  readonly scalarTypes: ('i32' | 'f32')[]
}

export function noCaptures(): Captures {
  return { tensors: [], scalars: [], scalarTypes: [] }
}

/** Where an expression is evaluated; `key` and `query` are positions, `row` the plain row. */
export const pair = 'struct Pair { batch: i32, head: i32, query: i32, key: i32, row: i32 }'

/**
 * `fn {name}(at: Pair, score: f32) -> …` from an expression. Only node kinds of core are walked, every identifier is
 * ours, and every number is printed from a number: nothing a caller wrote reaches the shader as text. Equal subterms,
 * one object in core, are computed once.
 */
export function expressionFunction(name: string, node: ExpressionNode, captures: Captures): string {
  return functionOf(name, wgslTypes[node.type], captures, (visit) => visit(node))
}

/** `fn {name}(at: Pair, score: f32) -> i32`: which element of its tensor a read reads, counted row-major. */
export function readElementFunction(name: string, { tensor, indices }: CaptureNode, captures: Captures): string {
  const index = captureIndex(tensor, captures)
  return functionOf(
    name,
    'i32',
    captures,
    (visit) => `captureIndex${index}(${indices.map(visit).join(', ')}) - parameters.capture${index}`,
  )
}

export type CaptureNode = Extract<ExpressionNode, { kind: 'capture' }>

type Visit = (node: ExpressionNode) => string

function functionOf(name: string, type: string, captures: Captures, result: (visit: Visit) => string): string {
  const lines: string[] = []
  const names = new Map<ExpressionNode, string>()
  const visit: Visit = (term) => {
    const known = names.get(term)
    if (known !== undefined) return known
    const text = termOf(term, visit, captures)
    if (isLeaf(term)) return text
    const local = `e${lines.length}`
    lines.push(`let ${local} = ${text};`)
    names.set(term, local)
    return local
  }
  const returned = result(visit)
  return `fn ${name}(at: Pair, score: f32) -> ${type} {
  ${[...lines, `return ${returned};`].join('\n  ')}
}`
}

/** Integer division and remainder that round toward −∞, and what reads a captured word. */
export const expressionHelpers = `
fn floorDivide(a: i32, b: i32) -> i32 {
  let q = a / b;
  return select(q, q - 1, (a % b != 0) && ((a < 0) != (b < 0)));
}
fn floorModulo(a: i32, b: i32) -> i32 { return a - b * floorDivide(a, b); }
fn floorModuloFloat(a: f32, b: f32) -> f32 { return a - b * floor(a / b); }`

/** The kernel parameters that `captures` needs: each scalar's value, each tensor's first word and sizes. */
export function captureParameters(captures: Captures): Record<string, 'i32' | 'f32'> {
  const parameters: Record<string, 'i32' | 'f32'> = {}
  captures.scalarTypes.forEach((type, index) => (parameters[`scalar${index}`] = type))
  captures.tensors.forEach(({ shape }, index) => {
    parameters[`capture${index}`] = 'i32'
    shape.forEach((_, axis) => (parameters[`capture${index}Size${axis}`] = 'i32'))
  })
  return parameters
}

const wgslTypes: Readonly<Record<ValueType, string>> = { bool: 'bool', int: 'i32', float: 'f32' }

function isLeaf({ kind }: ExpressionNode): boolean {
  return kind === 'constant' || kind === 'index' || kind === 'score' || kind === 'scalar'
}

function termOf(node: ExpressionNode, visit: Visit, captures: Captures): string {
  switch (node.kind) {
    case 'constant':
      return literal(node.type, node.value)
    case 'index':
      return `at.${node.name}`
    case 'score':
      return 'score'
    case 'scalar':
      return `parameters.scalar${scalarIndex(node.scalar, node.type, captures)}`
    case 'capture': {
      const index = `captureIndex${captureIndex(node.tensor, captures)}`
      return captured(node.type, node.tensor, `${index}(${node.indices.map(visit).join(', ')})`)
    }
    case 'unary':
      return unary(node.operator, node.operand.type, visit(node.operand))
    case 'binary':
      return binary(node.operator, node.left.type, visit(node.left), visit(node.right))
    case 'select':
      return `select(${visit(node.otherwise)}, ${visit(node.then)}, ${visit(node.condition)})`
  }
}

function literal(type: ValueType, value: number | boolean): string {
  if (type === 'bool') return value === true || value === 1 ? 'true' : 'false'
  const number = Number(value)
  if (type === 'int') return `i32(${Math.max(-(2 ** 31) + 1, Math.min(2 ** 31 - 1, Math.trunc(number)))})`
  const largest = 3.4028234663852886e38
  return `f32(${Math.max(-largest, Math.min(largest, Math.fround(number)))})`
}

function scalarIndex(scalar: CapturedScalar, type: 'int' | 'float', { scalars, scalarTypes }: Captures): number {
  const known = scalars.indexOf(scalar)
  if (known >= 0) return known
  scalarTypes.push(type === 'int' ? 'i32' : 'f32')
  return scalars.push(scalar) - 1
}

export function captureIndex(tensor: HostTensor, { tensors }: Captures): number {
  const known = tensors.indexOf(tensor)
  return known >= 0 ? known : tensors.push(tensor) - 1
}

/** `fn captureIndexN(i0, i1, …) -> i32`: the word of a captured tensor, which lies contiguous in `context`; clamped. */
export function captureIndexFunctions({ tensors }: Captures): string {
  return tensors
    .map(({ shape }, index) => {
      const steps = shape.map((_, axis) => {
        const size = `parameters.capture${index}Size${axis}`
        return `word = word * ${size} + clamp(i${axis}, 0, ${size} - 1);`
      })
      return `fn captureIndex${index}(${shape.map((_, axis) => `i${axis}: i32`).join(', ')}) -> i32 {
  var word = 0;
  ${steps.join('\n  ')}
  return parameters.capture${index} + word;
}`
    })
    .join('\n')
}

function captured(type: ValueType, { dtype }: HostTensor, word: string): string {
  if (type === 'bool') return `(context[${word}] != 0u)`
  if (type === 'int') return isFloat(dtype) ? `i32(bitcast<f32>(context[${word}]))` : `bitcast<i32>(context[${word}])`
  return isFloat(dtype) ? `bitcast<f32>(context[${word}])` : `f32(bitcast<i32>(context[${word}]))`
}

function unary(operator: UnaryOperator, type: ValueType, x: string): string {
  switch (operator) {
    case 'negate':
      return `(-${x})`
    case 'absolute':
      return `abs(${x})`
    case 'tanh':
      return `accurateTanh(${x})`
    case 'not':
      return `(!${x})`
    case 'toFloat':
      return `f32(${x})`
    case 'toInt':
      return type === 'int' ? x : `i32(${x})`
    case 'exp':
    case 'log':
    case 'floor':
      return `${operator}(${x})`
    default:
      throw unknownNode(operator)
  }
}

const infix: Partial<Record<BinaryOperator, string>> = {
  add: '+',
  subtract: '-',
  multiply: '*',
  divide: '/',
  equal: '==',
  notEqual: '!=',
  less: '<',
  lessOrEqual: '<=',
  greater: '>',
  greaterOrEqual: '>=',
  and: '&&',
  or: '||',
}

function binary(operator: BinaryOperator, type: ValueType, a: string, b: string): string {
  const symbol = infix[operator]
  if (symbol !== undefined) return `(${a} ${symbol} ${b})`
  switch (operator) {
    case 'minimum':
      return `min(${a}, ${b})`
    case 'maximum':
      return `max(${a}, ${b})`
    case 'floorDivide':
      return type === 'int' ? `floorDivide(${a}, ${b})` : `floor(${a} / ${b})`
    case 'modulo':
      return type === 'int' ? `floorModulo(${a}, ${b})` : `floorModuloFloat(${a}, ${b})`
    default:
      throw unknownNode(operator)
  }
}

function unknownNode(operator: string): QkvError {
  const expected = 'made of the operators of @qkv/core'
  return refusal({ operation: 'attention' }, 'EXPRESSION_REJECTED', 'expression', expected, `'${String(operator).slice(0, 40)}'`)
}
