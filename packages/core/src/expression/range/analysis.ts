import type { ExpressionNode } from '../node.ts'
import { nodesOf, operandsOf, type NodeOf } from '../visit.ts'
import { capturedRange, type CapturedRange } from './captured-range.ts'
import { floatBinaryStep, floatCompareStep, floatUnaryStep, setFloat, toFloatStep } from './float-steps.ts'
import { absoluteStep, intCompareStep, intStep, linearStep, toIntStep } from './int-steps.ts'
import { addLinear, linearConstant, linearDifference, linearSlot, type Linear } from './linear.ts'
import { makeRanges, setAnyInt, setBool, setEither, setInt, type Ranges, type Step } from './range.ts'

/**
 * Interval and congruence analysis: what is known of an expression and of all its nodes over a box of token pairs.
 * Always sound: no value lies outside its range.
 */
export interface RangeAnalysis {
  readonly ranges: Ranges
  /** Where a node's range is; {@link rootSlot} for the whole expression. */
  slotOf(node: ExpressionNode): number
  readonly rootSlot: number
  /** Captured tensors and scalars are read anew. */
  begin(): void
  /** `position` is that of query row 0 among the keys. The ends of each pair are included. */
  setPlane(batch: readonly [number, number], head: readonly [number, number], position: readonly [number, number]): void
  setBox(firstRow: number, lastRow: number, firstKey: number, lastKey: number): void
}

/** What the ranges of all nodes follow from. A query's position is `origin + row`. */
const boxSlots = { batch: 0, head: 1, origin: 2, row: 3, key: 4 } as const
const firstNodeSlot = 5

export function analyseRanges(root: ExpressionNode): RangeAnalysis {
  const nodes = nodesOf(root)
  const ranges = makeRanges(firstNodeSlot + nodes.length)
  const slots = new Map(nodes.map((node, index) => [node, firstNodeSlot + index]))
  const compiler: Compiler = {
    ranges,
    slotOf: (node) => slots.get(node)!,
    linear: new Map(),
    wraps: new Uint8Array(firstNodeSlot + nodes.length),
    moving: new Set(),
    captured: [],
  }
  const planeSteps: Step[] = []
  const boxSteps: Step[] = []
  for (const node of nodes) {
    if (moves(node, compiler.moving)) compiler.moving.add(node)
    if (node.type === 'int') compiler.linear.set(node, linearOf(node, compiler))
    const steps = compiler.moving.has(node) ? boxSteps : planeSteps
    steps.push(stepOf(node, compiler))
  }
  return {
    ranges,
    slotOf: compiler.slotOf,
    rootSlot: compiler.slotOf(root),
    begin: () => compiler.captured.forEach((captured) => captured.forget()),
    setPlane(batch, head, position) {
      setInt(ranges, boxSlots.batch, ...batch)
      setInt(ranges, boxSlots.head, ...head)
      setInt(ranges, boxSlots.origin, ...position)
      planeSteps.forEach((step) => step())
    },
    setBox(firstRow, lastRow, firstKey, lastKey) {
      setInt(ranges, boxSlots.row, firstRow, lastRow)
      setInt(ranges, boxSlots.key, firstKey, lastKey)
      for (let step = 0; step < boxSteps.length; step++) boxSteps[step]!()
    },
  }
}

/** Analyses, made once for each expression. */
const analyses = new WeakMap<ExpressionNode, RangeAnalysis>()

/** The expression's analysis, which callers share: after `begin()` it is theirs until they return. */
export function rangeAnalysis(root: ExpressionNode): RangeAnalysis {
  const known = analyses.get(root) ?? analyseRanges(root)
  analyses.set(root, known)
  known.begin()
  return known
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

function stepOf(node: ExpressionNode, compiler: Compiler): Step {
  const { ranges, slotOf, linear, wraps } = compiler
  const slot = slotOf(node)
  const form = linear.get(node)
  if (form !== undefined && !form.terms.has(slot)) return linearStep(ranges, slot, form, wraps)
  switch (node.kind) {
    case 'constant':
      return () => setOne(ranges, slot, Number(node.value))
    case 'scalar':
      return () => setOne(ranges, slot, node.type === 'int' ? node.scalar.value | 0 : Math.fround(node.scalar.value))
    case 'capture':
      return captureStep(node, compiler)
    case 'unary':
      return unaryStep(node, compiler)
    case 'binary':
      return binaryStep(node, compiler)
    case 'select':
      return selectStep(ranges, slot, slotOf(node.condition), slotOf(node.then), slotOf(node.otherwise))
    default:
      return () => setFloat(ranges, slot, -Infinity, Infinity)
  }
}

function setOne({ low, high }: Ranges, slot: number, value: number): void {
  low[slot] = value
  high[slot] = value
}

/** The extremes of the elements that the indices reach; of a row of indices, whatever steps they take. */
function captureStep(node: NodeOf<'capture'>, { ranges, slotOf, moving, captured }: Compiler): Step {
  const { tensor, indices, type } = node
  const slot = slotOf(node)
  const indexSlots = indices.map(slotOf)
  const elements = capturedRange(tensor, indices.map((index) => moving.has(index)))
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
    if (type === 'bool') setBool(ranges, slot, within && elements.low === 1, !within || elements.high === 1)
    else if (type === 'float') setFloat(ranges, slot, within ? elements.low : -Infinity, within ? elements.high : Infinity, false)
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

function binaryStep(node: NodeOf<'binary'>, { ranges, slotOf, linear, wraps }: Compiler): Step {
  const { operator, type, left, right } = node
  const { low, high } = ranges
  const [slot, a, b] = [slotOf(node), slotOf(left), slotOf(right)]
  if (type === 'int') return intStep(operator, ranges, slot, a, b)
  if (type === 'float') return floatBinaryStep(operator, ranges, slot, a, b)
  if (operator === 'and') return () => setBool(ranges, slot, low[a]! + low[b]! === 2, high[a]! + high[b]! === 2)
  if (operator === 'or') return () => setBool(ranges, slot, low[a]! + low[b]! > 0, high[a]! + high[b]! > 0)
  if (left.type === 'float') return floatCompareStep(operator, ranges, slot, a, b)
  // A truth compares as the whole number it is stored as.
  const of = (operand: ExpressionNode): Linear => linear.get(operand) ?? linearSlot(slotOf(operand))
  return intCompareStep(operator, ranges, slot, a, b, linearDifference(of(left), of(right)), wraps)
}

function selectStep(ranges: Ranges, slot: number, condition: number, then: number, otherwise: number): Step {
  return () => {
    if (ranges.low[condition] === 1) setEither(ranges, slot, then, then)
    else if (ranges.high[condition] === 0) setEither(ranges, slot, otherwise, otherwise)
    else setEither(ranges, slot, then, otherwise)
  }
}
