import type { ExpressionNode } from './node.ts'
import { rejected } from './rejected.ts'

export type NodeOf<K extends ExpressionNode['kind']> = Extract<ExpressionNode, { kind: K }>

/** What a walk makes of each kind of node, given what it made of the node's operands. */
export interface ExpressionVisitor<T> {
  constant(node: NodeOf<'constant'>): T
  index(node: NodeOf<'index'>): T
  score(node: NodeOf<'score'>): T
  scalar(node: NodeOf<'scalar'>): T
  capture(node: NodeOf<'capture'>, indices: readonly T[]): T
  unary(node: NodeOf<'unary'>, operand: T): T
  binary(node: NodeOf<'binary'>, left: T, right: T): T
  select(node: NodeOf<'select'>, condition: T, then: T, otherwise: T): T
}

/**
 * Walks an expression from its leaves to its root. Evaluation, printing, interval analysis and code generation are all
 * such walks. A node reached along several paths is visited once.
 *
 * @throws QkvError `EXPRESSION_REJECTED` at a kind of node that the language does not have.
 */
export function foldExpression<T>(root: ExpressionNode, visitor: ExpressionVisitor<T>): T {
  const results = new Map<ExpressionNode, T>()
  const made = (node: ExpressionNode): T => results.get(node) as T
  for (const node of nodesOf(root)) results.set(node, visitNode(node, visitor, made))
  return made(root)
}

/** Every node once, operands before what is made of them; the root is last. */
export function nodesOf(root: ExpressionNode): readonly ExpressionNode[] {
  const seen = new Set<ExpressionNode>()
  const ordered: ExpressionNode[] = []
  const walk = (node: ExpressionNode, depth: number): void => {
    if (seen.has(node)) return
    if (depth > deepestWalk) throw rejected('expression', `at most ${deepestWalk} levels deep`, 'a deeper one')
    seen.add(node)
    for (const operand of operandsOf(node)) walk(operand, depth + 1)
    ordered.push(node)
  }
  walk(root, 1)
  return ordered
}

/** Deep enough for derivatives of the deepest expressions, far from the end of the stack. */
const deepestWalk = 1024

/** The nodes that `node` is made of, in order. */
export function operandsOf(node: ExpressionNode): readonly ExpressionNode[] {
  switch (node?.kind) {
    case 'constant':
    case 'index':
    case 'score':
    case 'scalar':
      return []
    case 'capture':
      return node.indices
    case 'unary':
      return [node.operand]
    case 'binary':
      return [node.left, node.right]
    case 'select':
      return [node.condition, node.then, node.otherwise]
    default:
      throw rejected('expression', 'made of the nodes that maskMod and scoreMod build', 'a foreign object')
  }
}

function visitNode<T>(node: ExpressionNode, visitor: ExpressionVisitor<T>, made: (operand: ExpressionNode) => T): T {
  switch (node.kind) {
    case 'constant':
      return visitor.constant(node)
    case 'index':
      return visitor.index(node)
    case 'score':
      return visitor.score(node)
    case 'scalar':
      return visitor.scalar(node)
    case 'capture':
      return visitor.capture(node, node.indices.map(made))
    case 'unary':
      return visitor.unary(node, made(node.operand))
    case 'binary':
      return visitor.binary(node, made(node.left), made(node.right))
    case 'select':
      return visitor.select(node, made(node.condition), made(node.then), made(node.otherwise))
  }
}
