import { binaryNode, captureNode, constantNode, indexNode, scalarNode, scoreNode, selectNode, unaryNode } from './construct.ts'
import type { ExpressionNode } from './node.ts'
import { rejected } from './rejected.ts'
import { foldExpression, nodesOf, operandsOf } from './visit.ts'

export interface ExpressionLimits {
  /** Levels from the root to the farthest leaf. */
  readonly depth: number
  /** Distinct nodes. */
  readonly nodes: number
}

export const expressionLimits: ExpressionLimits = { depth: 32, nodes: 256 }

/**
 * The same expression built anew by the only makers of nodes: checked, simplified, and with equal subterms as one
 * object.
 *
 * @throws QkvError `EXPRESSION_REJECTED` for foreign nodes, wrong types and what exceeds the limits.
 */
export function canonical(root: ExpressionNode, limits: ExpressionLimits = expressionLimits): ExpressionNode {
  const shared = rebuild(root, scoreNode, sharing())
  const depths = new Map<ExpressionNode, number>()
  for (const node of nodesOf(shared)) {
    depths.set(node, 1 + Math.max(0, ...operandsOf(node).map((operand) => depths.get(operand) ?? 0)))
  }
  const depth = depths.get(shared) ?? 0
  if (depth > limits.depth) throw rejected('expression', `at most ${limits.depth} levels deep`, String(depth))
  if (depths.size > limits.nodes) throw rejected('expression', `of at most ${limits.nodes} nodes`, String(depths.size))
  return shared
}

/** The expression with another in the place of the score. */
export function substituteScore(root: ExpressionNode, score: ExpressionNode): ExpressionNode {
  return canonical(rebuild(root, score, (node) => node))
}

function rebuild(root: ExpressionNode, score: ExpressionNode, share: (node: ExpressionNode) => ExpressionNode): ExpressionNode {
  return foldExpression<ExpressionNode>(root, {
    constant: ({ type, value }) => share(constantNode(type, value)),
    index: ({ name }) => share(indexNode(name)),
    score: () => share(score),
    scalar: ({ type, scalar }) => share(scalarNode(type, scalar)),
    capture: ({ type, tensor }, indices) => share(captureNode(type, tensor, indices)),
    unary: ({ operator }, operand) => share(unaryNode(operator, operand)),
    binary: ({ operator }, left, right) => share(binaryNode(operator, left, right)),
    select: (_, condition, then, otherwise) => share(selectNode(condition, then, otherwise)),
  })
}

const commutative: readonly string[] = ['add', 'multiply', 'minimum', 'maximum', 'equal', 'notEqual', 'and', 'or']

/** Gives equal nodes, whose operands it gave, as one object. */
function sharing(): (node: ExpressionNode) => ExpressionNode {
  const nodes = new Map<string, ExpressionNode>()
  const numbers = new Map<object, number>()
  const numberOf = (part: object): number => {
    const number = numbers.get(part) ?? numbers.size
    numbers.set(part, number)
    return number
  }
  const keyOf = (node: ExpressionNode): string => {
    const operands = operandsOf(node).map(numberOf)
    switch (node.kind) {
      case 'constant':
        return `${node.type} ${node.value}`
      case 'index':
        return node.name
      case 'scalar':
        return `${node.type} scalar ${numberOf(node.scalar)}`
      case 'capture':
        return `capture ${numberOf(node.tensor)} ${operands}`
      case 'unary':
        return `${node.operator} ${operands}`
      case 'binary':
        return `${node.operator} ${commutative.includes(node.operator) ? operands.sort((a, b) => a - b) : operands}`
      default:
        return `${node.kind} ${operands}`
    }
  }
  return (node) => {
    const key = keyOf(node)
    const known = nodes.get(key)
    if (known === undefined) nodes.set(key, node)
    return known ?? node
  }
}
