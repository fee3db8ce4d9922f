import { canonical, substituteScore } from './canonical.ts'
import { constantNode, indexNode, scoreNode } from './construct.ts'
import type { ExpressionNode, IndexName, MaskMod, ScoreMod } from './node.ts'
import { rejected } from './rejected.ts'
import {
  BoolExpression,
  FloatExpression,
  IntExpression,
  boolNode,
  floatNode,
  type BoolOperand,
  type FloatOperand,
} from './value.ts'
import { nodesOf } from './visit.ts'

/** What an expression can ask about the pair of tokens it is evaluated for; see {@link IndexName}. */
export type TokenPair = Readonly<Record<IndexName, IntExpression>>

const pair = /* @__PURE__ */ tokenPair()

function tokenPair(): TokenPair {
  const index = (name: IndexName): IntExpression => new IntExpression(indexNode(name))
  return Object.freeze({ batch: index('batch'), head: index('head'), query: index('query'), key: index('key'), row: index('row') })
}

/**
 * A mask: which keys a query may attend to. The function runs once, to build an expression, and is never called again.
 *
 *     const causal = maskMod(({ query, key }) => key.le(query))
 *
 * @throws QkvError `EXPRESSION_REJECTED` naming what is wrong: a number where a truth is due, an index outside a
 * captured tensor, more than 32 levels or 256 nodes, an object that is no expression.
 */
export function maskMod(build: (pair: TokenPair) => BoolOperand): MaskMod {
  return maskOf(boolNode('the result of maskMod', build(pair)))
}

/**
 * A score change: the new score from the score so far, which comes after scale, softcap and bias.
 *
 *     const distance = scoreMod((score, { query, key }) => score.sub(query.sub(key).abs().toFloat().mul(0.1)))
 *
 * @throws QkvError `EXPRESSION_REJECTED`, as {@link maskMod} does.
 */
export function scoreMod(build: (score: FloatExpression, pair: TokenPair) => FloatOperand): ScoreMod {
  return scoreOf(floatNode('the result of scoreMod', build(new FloatExpression(scoreNode), pair)))
}

/** First one score change, then the next. */
export function composeScores(...mods: readonly ScoreMod[]): ScoreMod {
  return scoreOf(mods.reduce<ExpressionNode>((score, mod) => substituteScore(mod.node, score), scoreNode))
}

/** Keys that every mask shows. */
export function and(...masks: readonly MaskMod[]): MaskMod {
  return maskOf(new BoolExpression(constantNode('bool', true)).and(...masks.map(truthOf)).node)
}

/** Keys that any of the masks shows. */
export function or(...masks: readonly MaskMod[]): MaskMod {
  return maskOf(new BoolExpression(constantNode('bool', false)).or(...masks.map(truthOf)).node)
}

/** Keys that the mask hides. */
export function not(mask: MaskMod): MaskMod {
  return maskOf(truthOf(mask).not().node)
}

function truthOf(mask: MaskMod): BoolExpression {
  return new BoolExpression(boolNode('mask', mask))
}

function maskOf(node: ExpressionNode): MaskMod {
  const checked = canonical(node)
  if (!isBool(checked) || nodesOf(checked).some(({ kind }) => kind === 'score')) {
    throw rejected('mask', 'a bool made of token indices and captures', 'a score in it', 'maskMod')
  }
  return Object.freeze({ kind: 'mask', node: checked })
}

function scoreOf(node: ExpressionNode): ScoreMod {
  const checked = canonical(node)
  if (!isFloat(checked)) throw rejected('score', 'a float', checked.type, 'scoreMod')
  return Object.freeze({ kind: 'score', node: checked })
}

function isBool(node: ExpressionNode): node is MaskMod['node'] {
  return node.type === 'bool'
}

function isFloat(node: ExpressionNode): node is ScoreMod['node'] {
  return node.type === 'float'
}
