import type { CapturedScalar, ExpressionNode, MaskMod, ScoreMod } from '@qkv/core'
import { foldExpression } from '@qkv/core/expression'

/** An expression over one kind of indices as the same over another. */
export type Reindex = <E extends MaskMod | ScoreMod>(expression: E) => E

/** Where the indices are the same. */
export const unchanged: Reindex = (expression) => expression

/**
 * Makes expressions over a sequence's own indices hold for a cache that keeps its first `sinks` tokens, then leaves
 * `missing` out: key j of the cache is token j, or token j + missing from the sinks on, and so are queries.
 *
 * The number missing is a scalar: as it grows nothing is compiled again.
 */
export function reindexed(sinks: number, missing: number): Reindex {
  const skipped = scalarNode({ name: 'missing', value: missing })
  const later = (index: ExpressionNode): ExpressionNode => ({
    kind: 'binary',
    type: 'int',
    operator: 'add',
    left: index,
    right: skipped,
  })
  const isSink = (key: ExpressionNode): ExpressionNode => ({
    kind: 'binary',
    type: 'bool',
    operator: 'less',
    left: key,
    right: int(sinks),
  })
  const key = (index: ExpressionNode): ExpressionNode =>
    sinks === 0 ? later(index) : { kind: 'select', type: 'int', condition: isSink(index), then: index, otherwise: later(index) }

  const substitute = (root: ExpressionNode): ExpressionNode =>
    foldExpression<ExpressionNode>(root, {
      constant: (node) => node,
      score: (node) => node,
      scalar: (node) => node,
      index: (node) => (node.name === 'key' ? key(node) : node.name === 'query' ? later(node) : node),
      capture: (node, indices) => ({ ...node, indices }),
      unary: (node, operand) => ({ ...node, operand }),
      binary: (node, left, right) => ({ ...node, left, right }),
      select: (node, condition, then, otherwise) => ({ ...node, condition, then, otherwise }),
    })
  return (expression) => ({ ...expression, node: substitute(expression.node) })
}

function int(value: number): ExpressionNode {
  return { kind: 'constant', type: 'int', value }
}

function scalarNode(scalar: CapturedScalar): ExpressionNode {
  return { kind: 'scalar', type: 'int', scalar }
}
