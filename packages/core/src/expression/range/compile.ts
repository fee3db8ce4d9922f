import type { ExpressionNode } from '../node.ts'
import { operandsOf, type NodeOf } from '../visit.ts'
import { capturedRange, type CapturedRange } from './captured-range.ts'
import { floatBinaryStep, floatCompareStep, floatUnaryStep, setElement, setFloat, toFloatStep } from './float-steps.ts'
import { absoluteStep, differenceStep, intCompareStep, intStep, linearStep, toIntStep } from './int-steps.ts'
import { addLinear, fitsInt, linearConstant, linearDifference, linearSlot, type Linear } from './linear.ts'
import { setAnyInt, setBool, setEither, setInt, type Ranges, type Step } from './range.ts'

/** What the ranges of all nodes follow from. A query's position is `origin + row`. */
export const boxSlots = { batch: 0, head: 1, origin: 2, row: 3, key: 4 } as const

/** Node `i`, operands before what is made of them, has slot `firstNodeSlot + i`. */
export const firstNodeSlot = 5

/** No token has a greater index, so that sums of a few of them fit 32 bits. */
export const mostTokens: number = 2 ** 26

/** Functions that, run in order, find the range of an expression from those of the tokens. */
export interface Compiled {
  /** What changes with batch, head and position alone. */
  readonly planeSteps: readonly Step[]
  readonly boxSteps: readonly Step[]
  readonly captured: readonly CapturedRange[]
}

interface Compiler {
  readonly ranges: Ranges
  slotOf(node: ExpressionNode): number
  /** Of every int node so far. */
  readonly linear: Map<ExpressionNode, Linear>
  /** Of each slot, whether the number may not equal its linear form. */
  readonly wraps: Uint8Array
  /** The nodes so far that depend on row or key. */
  readonly moving: Set<ExpressionNode>
  readonly captured: CapturedRange[]
}

/** What finds a node's range, and the slots that it reads. */
interface NodeStep {
  readonly step: Step
  readonly reads: Iterable<number>
}

/** Only nodes whose ranges are read get a step: `query − key < 512` is one, from the tokens' ranges alone. */
export function compile(root: ExpressionNode, nodes: readonly ExpressionNode[], ranges: Ranges): Compiled {
  const slots = new Map(nodes.map((node, index) => [node, firstNodeSlot + index]))
  const compiler: Compiler = {
    ranges,
    slotOf: (node) => slots.get(node)!,
    linear: new Map(),
    wraps: new Uint8Array(ranges.low.length),
    moving: new Set(),
    captured: [],
  }
  const steps = nodes.map((node) => {
    if (moves(node, compiler.moving)) compiler.moving.add(node)
    if (node.type === 'int') compiler.linear.set(node, linearOf(node, compiler))
    return stepOf(node, compiler)
  })
  const read = new Set([compiler.slotOf(root)])
  const planeSteps: Step[] = []
  const boxSteps: Step[] = []
  nodes.toReversed().forEach((node) => {
    const slot = compiler.slotOf(node)
    const found = steps[slot - firstNodeSlot]
    if (!read.has(slot) || found === undefined) return
    for (const operand of found.reads) read.add(operand)
    ;(compiler.moving.has(node) ? boxSteps : planeSteps).unshift(found.step)
  })
  return { planeSteps, boxSteps, captured: compiler.captured }
}

function moves(node: ExpressionNode, moving: ReadonlySet<ExpressionNode>): boolean {
  if (node.kind === 'index') return node.name !== 'batch' && node.name !== 'head'
  return operandsOf(node).some((operand) => moving.has(operand))
}

function linearOf(node: ExpressionNode, { linear, slotOf }: Compiler): Linear {
  const none = linearConstant(0)
  const of = (operand: ExpressionNode): Linear => linear.get(operand)!
  if (node.kind === 'constant') return linearConstant(Number(node.value))
  if (node.kind === 'index') {
    if (node.name !== 'query') return linearSlot(boxSlots[node.name])
    return addLinear(linearSlot(boxSlots.origin), linearSlot(boxSlots.row), 1)
  }
  if (node.kind === 'unary' && node.operator === 'negate') return addLinear(none, of(node.operand), -1)
  if (node.kind === 'binary') {
    const { operator, left, right } = node
    if (operator === 'add') return addLinear(of(left), of(right), 1)
    if (operator === 'subtract') return addLinear(of(left), of(right), -1)
    if (operator === 'multiply' && right.kind === 'constant') return addLinear(none, of(left), Number(right.value))
    if (operator === 'multiply' && left.kind === 'constant') return addLinear(none, of(right), Number(left.value))
  }
  return linearSlot(slotOf(node))
}

/** Whether a number equals its form wherever tokens are: a form of a few tokens, or no form but the number itself. */
function equalsForm(form: Linear, slot: number): boolean {
  if (form.terms.has(slot)) return true
  return [...form.terms.keys()].every((term) => term < firstNodeSlot) && fitsInt(form, mostTokens)
}

function stepOf(node: ExpressionNode, compiler: Compiler): NodeStep {
  const { ranges, slotOf, linear, wraps } = compiler
  const slot = slotOf(node)
  const form = linear.get(node)
  if (form !== undefined && !form.terms.has(slot)) return { step: linearStep(ranges, slot, form, wraps), reads: form.terms.keys() }
  const reads = operandsOf(node).map(slotOf)
  switch (node.kind) {
    case 'constant':
      return { step: () => setOne(ranges, slot, Number(node.value)), reads }
    case 'scalar': {
      const { type, scalar } = node
      return { step: () => setOne(ranges, slot, type === 'int' ? scalar.value | 0 : Math.fround(scalar.value)), reads }
    }
    case 'capture':
      return { step: captureStep(node, compiler), reads }
    case 'unary':
      return { step: unaryStep(node, compiler), reads }
    case 'binary':
      return node.type === 'bool' && node.left.type === 'int'
        ? comparison(node, compiler)
        : { step: binaryStep(node, compiler), reads }
    case 'select':
      return { step: selectStep(node, compiler), reads }
    default:
      return { step: () => setFloat(ranges, slot, -Infinity, Infinity), reads }
  }
}

/**
 * Of whole numbers: from the difference of their linear forms, in which what the sides share cancels (`key ≤ query` over
 * a box depends on their distance alone), unless a side may not equal its form.
 */
function comparison(node: NodeOf<'binary'>, { ranges, slotOf, linear, wraps }: Compiler): NodeStep {
  const { operator, left, right } = node
  const [slot, a, b] = [slotOf(node), slotOf(left), slotOf(right)]
  const [leftForm, rightForm] = [linear.get(left)!, linear.get(right)!]
  const difference = linearDifference(leftForm, rightForm)
  const byForms = differenceStep(operator, ranges, slot, difference)
  if (equalsForm(leftForm, a) && equalsForm(rightForm, b)) return { step: byForms, reads: difference.terms.keys() }
  const byRanges = intCompareStep(operator, ranges, slot, a, b)
  const step = (): void => (wraps[a] === 0 && wraps[b] === 0 ? byForms() : byRanges())
  return { step, reads: [a, b, ...difference.terms.keys()] }
}

function setOne({ low, high }: Ranges, slot: number, value: number): void {
  low[slot] = value
  high[slot] = value
}

/** The extremes of the elements that the indices reach, whatever steps these take. */
function captureStep(node: NodeOf<'capture'>, { ranges, slotOf, moving, captured }: Compiler): Step {
  const { tensor, indices, type } = node
  const slot = slotOf(node)
  const indexSlots = indices.map(slotOf)
  const elements = capturedRange(
    tensor,
    indices.map((index) => moving.has(index)),
  )
  captured.push(elements)
  const first = indices.map(() => 0)
  const last = indices.map(() => 0)
  return () => {
    let within = true
    for (let axis = 0; axis < first.length; axis++) {
      first[axis] = ranges.low[indexSlots[axis]!]!
      last[axis] = ranges.high[indexSlots[axis]!]!
      if (first[axis]! < 0 || last[axis]! >= tensor.shape[axis]!) within = false
    }
    if (within) elements.find(first, last)
    if (type === 'bool') setBool(ranges, slot, within && elements.low !== 0, !within || elements.high !== 0)
    else if (type === 'float') setElement(ranges, slot, within ? elements.low : -Infinity, within ? elements.high : Infinity)
    else if (within) setInt(ranges, slot, elements.low, elements.high)
    else setAnyInt(ranges, slot)
  }
}

function unaryStep(node: NodeOf<'unary'>, { ranges, slotOf }: Compiler): Step {
  const { operator, type } = node
  const [slot, a] = [slotOf(node), slotOf(node.operand)]
  if (operator === 'not') return () => setBool(ranges, slot, ranges.high[a] === 0, ranges.low[a] === 0)
  if (operator === 'toInt') return toIntStep(ranges, slot, a)
  if (operator === 'toFloat') return toFloatStep(ranges, slot, a)
  return type === 'int' ? absoluteStep(ranges, slot, a) : floatUnaryStep(operator, ranges, slot, a)
}

function binaryStep(node: NodeOf<'binary'>, { ranges, slotOf }: Compiler): Step {
  const { operator, type, left, right } = node
  const { low, high } = ranges
  const [slot, a, b] = [slotOf(node), slotOf(left), slotOf(right)]
  if (type === 'int') return intStep(operator, ranges, slot, a, b)
  if (type === 'float') return floatBinaryStep(operator, ranges, slot, a, b)
  if (operator === 'and') return () => setBool(ranges, slot, low[a]! + low[b]! === 2, high[a]! + high[b]! === 2)
  if (operator === 'or') return () => setBool(ranges, slot, low[a]! + low[b]! > 0, high[a]! + high[b]! > 0)
  // Truths compare as the whole numbers they are stored as.
  return left.type === 'float' ? floatCompareStep(operator, ranges, slot, a, b) : intCompareStep(operator, ranges, slot, a, b)
}

function selectStep(node: NodeOf<'select'>, { ranges, slotOf }: Compiler): Step {
  const [slot, condition, then, otherwise] = [slotOf(node), slotOf(node.condition), slotOf(node.then), slotOf(node.otherwise)]
  const whole = node.type === 'int'
  return () => {
    if (ranges.low[condition] === 1) setEither(ranges, slot, then, then, whole)
    else if (ranges.high[condition] === 0) setEither(ranges, slot, otherwise, otherwise, whole)
    else setEither(ranges, slot, then, otherwise, whole)
  }
}
