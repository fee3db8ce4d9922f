import type { HostTensor } from '../tensor.ts'

/** Booleans, whole numbers and floats never mix silently. */
export type ValueType = 'bool' | 'int' | 'float'

/**
 * What an expression can ask about the pair of tokens it is evaluated for.
 *
 * `query` is the query's position among the keys, so that one expression serves prefill, chunked prefill and decode:
 * query row `i` of `n` stands at `validKeys − n + i` (at `i` when the problem is aligned `'upper-left'`). `row` is the
 * plain row `i` of this call. Both are the same when there are as many queries as keys.
 */
export type IndexName = 'batch' | 'head' | 'query' | 'key' | 'row'

export type UnaryOperator = 'negate' | 'absolute' | 'exp' | 'log' | 'tanh' | 'floor' | 'not' | 'toFloat' | 'toInt'

export type BinaryOperator =
  | 'add'
  | 'subtract'
  | 'multiply'
  | 'divide'
  | 'floorDivide'
  | 'modulo'
  | 'minimum'
  | 'maximum'
  | 'equal'
  | 'notEqual'
  | 'less'
  | 'lessOrEqual'
  | 'greater'
  | 'greaterOrEqual'
  | 'and'
  | 'or'

/**
 * An immutable expression tree (a DAG: equal subterms are one object). Every backend walks exactly these nodes; nothing
 * else is ever executed, so an expression is data, not code.
 *
 * Semantics, the same everywhere: `floorDivide` and `modulo` round toward −∞ (the remainder has the divisor's sign);
 * `divide`, `exp`, `log`, `tanh` are float; integers are 32-bit; comparisons of two operands of one type; `toInt` takes
 * an already floored float; `select` evaluates to `then` where `condition` holds.
 */
export type ExpressionNode =
  | { readonly kind: 'constant'; readonly type: ValueType; readonly value: number | boolean }
  | { readonly kind: 'index'; readonly type: 'int'; readonly name: IndexName }
  /** The score so far; only in score expressions. */
  | { readonly kind: 'score'; readonly type: 'float' }
  /** A number that may change between calls without compiling anything again. */
  | { readonly kind: 'scalar'; readonly type: 'int' | 'float'; readonly scalar: CapturedScalar }
  /** One element of a captured tensor; indices are proven within bounds before anything runs. */
  | {
      readonly kind: 'capture'
      readonly type: ValueType
      readonly tensor: HostTensor
      readonly indices: readonly ExpressionNode[]
    }
  | { readonly kind: 'unary'; readonly type: ValueType; readonly operator: UnaryOperator; readonly operand: ExpressionNode }
  | {
      readonly kind: 'binary'
      readonly type: ValueType
      readonly operator: BinaryOperator
      readonly left: ExpressionNode
      readonly right: ExpressionNode
    }
  | {
      readonly kind: 'select'
      readonly type: ValueType
      readonly condition: ExpressionNode
      readonly then: ExpressionNode
      readonly otherwise: ExpressionNode
    }

export interface CapturedScalar {
  readonly name: string
  value: number
}

/** A mask as an expression: true = may attend. Made by `maskMod`. */
export interface MaskMod {
  readonly kind: 'mask'
  readonly node: ExpressionNode & { readonly type: 'bool' }
}

/** A score change as an expression of the score so far. Made by `scoreMod`. */
export interface ScoreMod {
  readonly kind: 'score'
  readonly node: ExpressionNode & { readonly type: 'float' }
}
