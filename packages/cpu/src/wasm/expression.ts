import { bytesPerElement, QkvError, type CapturedScalar, type ExpressionNode, type IndexName } from '@qkv/core'
import { operandsOf, type NodeOf } from '@qkv/core/expression'
import type { Workspace } from '../memory/workspace.ts'
import { dtypeNumbers } from './draft.ts'
import * as opcode from './opcodes.ts'
import { placeVector } from './place.ts'
import { panelRows, tileKeys } from './record.ts'

/** Bytes of a register that has a number for each row of a panel, or for every pair of a tile. */
const rowBytes = 4 * panelRows
const tileBytes = tileKeys * rowBytes

/** A node's register: its offset, and the bytes from one key's numbers to the next. */
interface Register {
  readonly offset: number
  readonly step: 32 | 0
}

export interface Program {
  readonly address: number
  /** Memory that evaluating it takes. */
  readonly registerBytes: number
}

/** Translates an expression for the kernels' interpreter, `assembly/expression.ts`, and places it with what it captures. */
export function placeProgram(space: Workspace, root: ExpressionNode): Program {
  const registers = new Map<ExpressionNode, Register>()
  const words: number[] = []
  let end = 0
  const register = (step: 32 | 0): Register => {
    const made: Register = { offset: end, step }
    end += step === 0 ? rowBytes : tileBytes
    return made
  }
  const emit = (code: number, { offset, step }: Register, operands: readonly number[]): void => {
    words.push(4 * (4 + operands.length), code, offset, step, ...operands)
  }
  const translate = (node: ExpressionNode): Register => {
    const known = registers.get(node)
    if (known !== undefined) return known
    const operands = node.kind === 'capture' ? [translate(bytesTo(space, node))] : operandsOf(node).map(translate)
    const wide = node.kind === 'score' || (node.kind === 'index' && node.name === 'key') || operands.some(({ step }) => step === 32)
    const result = register(wide ? 32 : 0)
    registers.set(node, result)
    emit(opcodeOf(node), result, immediates(space, node, operands))
    return result
  }
  let result = translate(root)
  if (result.step === 0) {
    const wide = register(32)
    emit(opcode.spread, wide, [result.offset, result.step])
    result = wide
  }
  const program = Int32Array.from([4 * (words.length + 1), result.offset, ...words])
  return { address: placeVector(space, program), registerBytes: end }
}

/** How many bytes after a captured tensor's first element the one lies that is read. */
function bytesTo(space: Workspace, { tensor, indices }: Capture): ExpressionNode {
  const { dtype, strides } = space.place(tensor)
  const bytes = indices.map((_, axis) => (strides[axis] ?? 0) * bytesPerElement[dtype])
  return placeAmong(indices, bytes)
}

/** Σ index · stride */
export function placeAmong(indices: readonly ExpressionNode[], strides: readonly number[]): ExpressionNode {
  const combined = (operator: 'add' | 'multiply', left: ExpressionNode, right: ExpressionNode): ExpressionNode => ({
    kind: 'binary',
    type: 'int',
    operator,
    left,
    right,
  })
  const zero: ExpressionNode = { kind: 'constant', type: 'int', value: 0 }
  return indices
    .map((index, axis) => combined('multiply', index, { kind: 'constant', type: 'int', value: strides[axis]! }))
    .reduce((sum, term) => combined('add', sum, term), zero)
}

/** What follows an instruction's head. */
function immediates(space: Workspace, node: ExpressionNode, operands: readonly Register[]): readonly number[] {
  const registers = operands.flatMap(({ offset, step }) => [offset, step])
  switch (node.kind) {
    case 'constant':
      return [node.type === 'bool' ? -Number(node.value) : node.type === 'int' ? Number(node.value) : floatBits(Number(node.value))]
    case 'scalar':
      return [scalarBits(node.type, node.scalar)]
    case 'index':
      return [indices[node.name]]
    case 'capture': {
      const { address, dtype } = space.place(node.tensor)
      return [...registers, address, dtypeNumbers[dtype]]
    }
    default:
      return registers
  }
}

const indices: Readonly<Record<IndexName, number>> = {
  batch: opcode.batch,
  head: opcode.head,
  query: opcode.query,
  key: opcode.key,
  row: opcode.row,
}

function scalarBits(type: 'int' | 'float', { value }: CapturedScalar): number {
  return type === 'int' ? value | 0 : floatBits(value)
}

function floatBits(value: number): number {
  return new Int32Array(Float32Array.of(value).buffer)[0]!
}

function opcodeOf(node: ExpressionNode): number {
  switch (node.kind) {
    case 'score':
      return opcode.score
    case 'index':
      return opcode.index
    case 'constant':
    case 'scalar':
      return opcode.constant
    case 'capture':
      return node.type === 'float' ? opcode.captureFloat : opcode.captureInt
    case 'select':
      return opcode.select
    case 'unary':
      return known(unaryOpcode(node.operator, node.operand.type), node.operator)
    case 'binary':
      return known(binaryOpcode(node.operator, node.left.type), node.operator)
  }
}

type Capture = NodeOf<'capture'>
type Unary = NodeOf<'unary'>['operator']
type Binary = NodeOf<'binary'>['operator']
type Opcodes<Operator extends string> = Readonly<globalThis.Partial<Record<Operator, number>>>

function unaryOpcode(operator: Unary, type: ExpressionNode['type']): number | undefined {
  return (type === 'int' ? intUnary[operator] : undefined) ?? anyUnary[operator]
}

function binaryOpcode(operator: Binary, type: ExpressionNode['type']): number | undefined {
  return type === 'float' ? floatBinary[operator] : otherBinary[operator]
}

const intUnary: Opcodes<Unary> = { negate: opcode.intNegate, absolute: opcode.intAbsolute }
const anyUnary: Opcodes<Unary> = {
  negate: opcode.floatNegate,
  absolute: opcode.floatAbsolute,
  exp: opcode.exp,
  log: opcode.log,
  tanh: opcode.tanh,
  floor: opcode.floor,
  not: opcode.not,
  toFloat: opcode.toFloat,
  toInt: opcode.toInt,
}
const floatBinary: Opcodes<Binary> = {
  add: opcode.floatAdd,
  subtract: opcode.floatSubtract,
  multiply: opcode.floatMultiply,
  divide: opcode.floatDivide,
  floorDivide: opcode.floatFloorDivide,
  modulo: opcode.floatModulo,
  minimum: opcode.floatMinimum,
  maximum: opcode.floatMaximum,
  equal: opcode.floatEqual,
  notEqual: opcode.floatNotEqual,
  less: opcode.floatLess,
  lessOrEqual: opcode.floatLessOrEqual,
  greater: opcode.floatGreater,
  greaterOrEqual: opcode.floatGreaterOrEqual,
}
/** Of integers and truths. */
const otherBinary: Opcodes<Binary> = {
  add: opcode.intAdd,
  subtract: opcode.intSubtract,
  multiply: opcode.intMultiply,
  floorDivide: opcode.intFloorDivide,
  modulo: opcode.intModulo,
  minimum: opcode.intMinimum,
  maximum: opcode.intMaximum,
  equal: opcode.intEqual,
  notEqual: opcode.intNotEqual,
  less: opcode.intLess,
  lessOrEqual: opcode.intLessOrEqual,
  greater: opcode.intGreater,
  greaterOrEqual: opcode.intGreaterOrEqual,
  and: opcode.and,
  or: opcode.or,
}

function known(code: number | undefined, operator: string): number {
  if (code !== undefined) return code
  throw new QkvError({
    code: 'EXPRESSION_REJECTED',
    operation: 'attention',
    argument: 'expression',
    expected: 'an operator of the language',
    received: operator,
  })
}
