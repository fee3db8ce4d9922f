import { canonical } from './canonical.ts'
import type { ExpressionNode, ScoreMod } from './node.ts'
import { select } from './terms.ts'
import { BoolExpression, FloatExpression } from './value.ts'
import { nodesOf, operandsOf, type NodeOf } from './visit.ts'

/** How a score expression changes with what it is made of; each derivative is an expression of the same pair and score. */
export interface ScoreDerivative {
  /** By the score so far. */
  readonly score: ExpressionNode
  /** By each element read: the gradient of `tensor[indices]` gains score gradient times `derivative`, pair by pair. */
  readonly captures: readonly { readonly read: NodeOf<'capture'>; readonly derivative: ExpressionNode }[]
}

/**
 * Differentiates a score expression, in reverse: from the root down, every node passes what it receives on to its
 * operands by the chain rule. At a corner (`min`, `max` of equals, `abs` of 0) one side's derivative is taken, 0 for
 * `abs`; `floor` and whole numbers have none.
 */
export function differentiate({ node: root }: ScoreMod): ScoreDerivative {
  const nodes = nodesOf(root)
  const variable = variableNodes(nodes)
  const received = new Map<ExpressionNode, Branches>()
  const give = (operand: ExpressionNode, guard: Guard, slope: FloatExpression): void => {
    if (!variable.has(operand)) return
    const branches = received.get(operand) ?? new Map()
    const before = branches.get(guard)
    branches.set(guard, before === undefined ? slope : before.add(slope))
    received.set(operand, branches)
  }
  give(root, undefined, new FloatExpression({ kind: 'constant', type: 'float', value: 1 }))
  for (const node of nodes.toReversed()) {
    received.get(node)?.forEach((slope, guard) => passOn(node, slope, guard, give))
  }
  const total = (node: ExpressionNode | undefined) => canonical(sum(node && received.get(node)), derivativeLimits)
  return {
    score: total(nodes.find(({ kind }) => kind === 'score')),
    captures: nodes
      .filter((node) => node.kind === 'capture')
      .filter(({ type }) => type === 'float')
      .map((read) => ({ read, derivative: total(read) })),
  }
}

/** The floats that the score or a captured float goes into; the others have no derivative to pass on. */
function variableNodes(nodes: readonly ExpressionNode[]): ReadonlySet<ExpressionNode> {
  const variable = new Set<ExpressionNode>()
  for (const node of nodes) {
    const own = node.kind === 'score' || node.kind === 'capture'
    if (node.type === 'float' && (own || operandsOf(node).some((operand) => variable.has(operand)))) variable.add(node)
  }
  return variable
}

/**
 * What a node receives, apart for each branch of a `select` it lies in: the condition is applied last, so that what a
 * branch not taken divides by zero never reaches a gradient.
 */
type Guard = BoolExpression | undefined
type Branches = Map<Guard, FloatExpression>

const derivativeLimits = { depth: 512, nodes: 4096 }

function sum(branches: Branches | undefined): ExpressionNode {
  let total = new FloatExpression({ kind: 'constant', type: 'float', value: 0 })
  branches?.forEach((slope, guard) => (total = total.add(guard === undefined ? slope : select(guard, slope, 0))))
  return total.node
}

type Give = (operand: ExpressionNode, guard: Guard, slope: FloatExpression) => void

function passOn(node: ExpressionNode, slope: FloatExpression, guard: Guard, give: Give): void {
  if (node.kind === 'unary' && node.operand.type === 'float') {
    const passed = throughUnary(node, slope)
    if (passed !== undefined) give(node.operand, guard, passed)
  } else if (node.kind === 'binary') {
    const [left, right] = throughBinary(node, slope)
    if (left !== undefined) give(node.left, guard, left)
    if (right !== undefined) give(node.right, guard, right)
  } else if (node.kind === 'select') {
    const condition = new BoolExpression(node.condition)
    give(node.then, guard?.and(condition) ?? condition, slope)
    give(node.otherwise, guard?.and(condition.not()) ?? condition.not(), slope)
  }
}

function throughUnary(node: NodeOf<'unary'>, slope: FloatExpression): FloatExpression | undefined {
  const x = new FloatExpression(node.operand)
  switch (node.operator) {
    case 'negate':
      return slope.neg()
    case 'absolute':
      return select(x.gt(0), slope, select(x.lt(0), slope.neg(), 0))
    case 'exp':
      return slope.mul(new FloatExpression(node))
    case 'log':
      return slope.div(x)
    case 'tanh': {
      const y = new FloatExpression(node)
      return slope.mul(y.mul(y).neg().add(1))
    }
    default:
      return undefined
  }
}

function throughBinary(
  node: NodeOf<'binary'>,
  slope: FloatExpression,
): readonly [left?: FloatExpression | undefined, right?: FloatExpression | undefined] {
  if (node.type !== 'float') return []
  const a = new FloatExpression(node.left)
  const b = new FloatExpression(node.right)
  switch (node.operator) {
    case 'add':
      return [slope, slope]
    case 'subtract':
      return [slope, slope.neg()]
    case 'multiply':
      return [slope.mul(b), slope.mul(a)]
    case 'divide':
      return [slope.div(b), slope.mul(new FloatExpression(node)).div(b).neg()]
    case 'modulo':
      return [slope, slope.mul(a.floorDiv(b)).neg()]
    case 'minimum':
      return [select(a.le(b), slope, 0), select(a.le(b), 0, slope)]
    case 'maximum':
      return [select(a.ge(b), slope, 0), select(a.ge(b), 0, slope)]
    default:
      return []
  }
}
