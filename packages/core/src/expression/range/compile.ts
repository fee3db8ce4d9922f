import type { Alignment } from '../../problem.ts'
import type { ExpressionNode, IndexName } from '../node.ts'
import { nodesOf, operandsOf, type NodeOf } from '../visit.ts'
import { capturedRange } from './captured-range.ts'
import { floatBinaryStep, floatCompareStep, floatUnaryStep, toFloatStep } from './float-steps.ts'
import { absoluteStep, compareDifference, intStep, linearStep, toIntStep, type Step } from './int-steps.ts'
import { addLinear, linearConstant, linearSlot, type Linear } from './linear.ts'
import { commonStep, greatestCommonDivisor, makeRanges, setBool, setInt, stepOf, type Ranges } from './range.ts'

/** What a box of token pairs is given by; each is a slot of the ranges. */
export const boxSlots = { batch: 0, head: 1, validKeys: 2, row: 3, key: 4 } as const

const firstNodeSlot = 5

/** Where the queries stand among the keys. */
export interface Placement {
  readonly queries: number
  readonly alignment: Alignment
}

/** Interval and congruence analysis of expressions: the ranges of all their nodes over a box of token pairs. */
export interface RangeAnalysis {
  readonly ranges: Ranges
  slotOf(node: ExpressionNode): number
  setBox(name: keyof typeof boxSlots, low: number, high: number): void
  /** After a change of `batch`, `head` or `validKeys`. */
  updatePlane(): void
  /** After a change of `row` or `key` alone. */
  updateBox(): void
}

export function analyseRanges(roots: readonly ExpressionNode[], placement: Placement): RangeAnalysis {
  const nodes = [...new Set(roots.flatMap((root) => nodesOf(root)))]
  const ranges = makeRanges(firstNodeSlot + 2 * nodes.length)
  const slots = new Map(nodes.map((node, index) => [node, firstNodeSlot + index]))
  const slotOf = (node: ExpressionNode): number => slots.get(node)!
  const compiler: Compiler = {
    ranges,
    placement,
    slotOf,
    spareSlotOf: (node) => slotOf(node) + nodes.length,
    linear: new Map(),
    wraps: new Uint8Array(ranges.low.length),
    moving: new Set(),
  }
  const planeSteps: Step[] = []
  const boxSteps: Step[] = []
  for (const node of nodes) {
    if (moves(node, compiler.moving)) compiler.moving.add(node)
    if (node.type === 'int') compiler.linear.set(node, linearOf(node, compiler))
    ;(compiler.moving.has(node) ? boxSteps : planeSteps).push(stepFor(node, compiler))
  }
  return {
    ranges,
    slotOf,
    setBox: (name, low, high) => setInt(ranges, boxSlots[name], low, high),
    updatePlane: () => planeSteps.forEach((step) => step()),
    updateBox: () => {
      for (let step = 0; step < boxSteps.length; step++) boxSteps[step]!()
    },
  }
}

interface Compiler {
  readonly ranges: Ranges
  readonly placement: Placement
  slotOf(node: ExpressionNode): number
  /** Room for the difference of a comparison's sides. */
  spareSlotOf(node: ExpressionNode): number
  /** Of every int node so far. */
  readonly linear: Map<ExpressionNode, Linear>
  readonly wraps: Uint8Array
  /** The nodes so far that depend on row or key. */
  readonly moving: Set<ExpressionNode>
}

function moves(node: ExpressionNode, moving: ReadonlySet<ExpressionNode>): boolean {
  if (node.kind === 'index') return node.name !== 'batch' && node.name !== 'head'
  return operandsOf(node).some((operand) => moving.has(operand))
}

function linearOf(node: ExpressionNode, { linear, slotOf, placement }: Compiler): Linear {
  const none = linearConstant(0)
  const of = (operand: ExpressionNode): Linear => linear.get(operand)!
  if (node.kind === 'constant') return linearConstant(Number(node.value))
  if (node.kind === 'index') return indexLinear(node.name, placement)
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

/** Every token index is a box slot, but for the query's position, which stands `validKeys − queries` after its row. */
function indexLinear(name: IndexName, { alignment, queries }: Placement): Linear {
  if (name !== 'query') return linearSlot(boxSlots[name])
  const row = linearSlot(boxSlots.row)
  if (alignment === 'upper-left') return row
  return addLinear(addLinear(row, linearSlot(boxSlots.validKeys), 1), linearConstant(queries), -1)
}

function stepFor(node: ExpressionNode, compiler: Compiler): Step {
  const { ranges, slotOf } = compiler
  const slot = slotOf(node)
  switch (node.kind) {
    case 'constant':
      return setting(ranges, slot, () => Number(node.value))
    case 'scalar':
      return setting(ranges, slot, () => (node.type === 'int' ? node.scalar.value | 0 : Math.fround(node.scalar.value)))
    case 'index':
      return linearStep(ranges, slot, compiler.linear.get(node)!, compiler.wraps)
    case 'score':
      return () => setEnds(ranges, slot, -Infinity, Infinity)
    case 'capture':
      return captureStep(node, compiler)
    case 'unary':
      return unaryStep(node, compiler)
    case 'binary':
      return binaryStep(node, compiler)
    case 'select':
      return selectStep(ranges, slot, slotOf(node.condition), slotOf(node.then), slotOf(node.otherwise))
  }
}

function setEnds({ low, high }: Ranges, slot: number, from: number, to: number): void {
  low[slot] = from
  high[slot] = to
}

function setting(ranges: Ranges, slot: number, value: () => number): Step {
  return () => setEnds(ranges, slot, value(), value())
}

function captureStep({ tensor, indices, type }: NodeOf<'capture'>, compiler: Compiler): Step {
  const { ranges, slotOf, moving } = compiler
  const slot = slotOf(arguments[0])
  return () => {}
}
