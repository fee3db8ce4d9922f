import {
  capture,
  float,
  int,
  scalar,
  select,
  tensor,
  type BoolExpression,
  type Captured,
  type FloatExpression,
  type FloatScalar,
  type IntExpression,
  type IntScalar,
  type TokenPair,
} from '@qkv/core'
import type { Random } from './random.ts'

/** What random expressions capture: drawn once, read by many. */
export interface ExpressionLeaves {
  /** No floats but in scores, and no divisor that may be 0: then all platforms compute the same. */
  readonly exact: boolean
  readonly bools: Captured<BoolExpression>
  readonly ints: Captured<IntExpression>
  readonly table: Captured<IntExpression>
  readonly floats: Captured<FloatExpression>
  readonly intScalar: IntScalar
  readonly floatScalar: FloatScalar
}

const captured = 24

export function drawLeaves(random: Random, exact = false): ExpressionLeaves {
  const list = <T>(length: number, next: () => T): T[] => Array.from({ length }, next)
  return {
    exact,
    bools: capture(
      tensor(
        list(captured, () => random.chance(0.6)),
        [captured],
      ),
      'bool',
    ),
    // Ascending, as document numbers are.
    ints: capture(tensor(Int32Array.from(list(captured, () => random.integer(0, 3)).sort()), [captured]), 'int'),
    table: capture(tensor(Int8Array.from(list(12, () => random.integer(-3, 3))), [3, 4]), 'int'),
    floats: capture(tensor(Float32Array.from(list(captured, () => (random.chance(0.02) ? NaN : random.normal()))), [captured])),
    intScalar: scalar('reach', random.integer(-2, 6), 'int'),
    floatScalar: scalar('rate', random.normal()),
  }
}

/** Random truths about a pair of tokens, of every operator that the language has; `depth` levels at most. */
export function drawTruth(random: Random, pair: TokenPair, leaves: ExpressionLeaves, depth: number): BoolExpression {
  const truth = (): BoolExpression => drawTruth(random, pair, leaves, depth - 1)
  const whole = (): IntExpression => drawWhole(random, pair, leaves, depth - 1)
  const real = (): FloatExpression => drawReal(random, pair, leaves, depth - 1)
  if (depth <= 1) {
    if (random.chance(0.3)) return leaves.bools.at(within(whole()))
    return comparison(random, drawWhole(random, pair, leaves, 1), drawWhole(random, pair, leaves, 1))
  }
  switch (random.integer(0, 11)) {
    case 0:
    case 1:
      return truth().and(truth())
    case 2:
      return truth().or(truth())
    case 3:
      return truth().not()
    case 4:
      return select(truth(), truth(), truth())
    case 5:
    case 6:
      return leaves.exact ? comparison(random, whole(), whole()) : comparison(random, real(), real())
    default:
      return comparison(random, whole(), whole())
  }
}

export function drawWhole(random: Random, pair: TokenPair, leaves: ExpressionLeaves, depth: number): IntExpression {
  const whole = (): IntExpression => drawWhole(random, pair, leaves, depth - 1)
  if (depth <= 1) {
    const { batch, head, query, key, row } = pair
    const constant = random.chance(0.03) ? random.pick([2 ** 31 - 1, -(2 ** 31), 1_000_003]) : random.integer(-4, 9)
    return random.pick([query, query, key, key, row, batch, head, leaves.intScalar, int(constant), int(constant)])
  }
  switch (random.integer(0, 13)) {
    case 0:
    case 1:
      return whole().add(whole())
    case 2:
    case 3:
      return whole().sub(whole())
    case 4:
      return whole().mul(random.chance(0.7) ? random.integer(-5, 5) : whole())
    case 5:
      return whole().floorDiv(leaves.exact || random.chance(0.8) ? random.pick([1, 2, 3, 4, 8, -3]) : whole())
    case 6:
      return whole().mod(leaves.exact || random.chance(0.8) ? random.pick([1, 2, 3, 4, 8, -3]) : whole())
    case 7:
      return whole().min(whole())
    case 8:
      return whole().max(whole())
    case 9:
      return random.chance(0.5) ? whole().abs() : whole().neg()
    case 10:
      return select(drawTruth(random, pair, leaves, depth - 1), whole(), whole())
    case 11:
      return leaves.ints.at(within(whole()))
    case 12:
      return leaves.table.at(whole().mod(3), whole().clamp(0, 3))
    default:
      return leaves.exact ? whole() : drawReal(random, pair, leaves, depth - 1).toInt()
  }
}

export function drawReal(random: Random, pair: TokenPair, leaves: ExpressionLeaves, depth: number): FloatExpression {
  const real = (): FloatExpression => drawReal(random, pair, leaves, depth - 1)
  const whole = (): IntExpression => drawWhole(random, pair, leaves, depth - 1)
  if (depth <= 1)
    return random.pick([leaves.floatScalar, float(random.pick([0, 0.5, 1, -2, 3.25])), pair.query.toFloat(), pair.key.toFloat()])
  switch (random.integer(0, 15)) {
    case 0:
      return real().add(real())
    case 1:
      return real().sub(real())
    case 2:
      return real().mul(real())
    case 3:
      return real().div(random.chance(0.7) ? 4 : real())
    case 4:
      return real().floorDiv(random.chance(0.7) ? 2.5 : real())
    case 5:
      return real().mod(random.chance(0.7) ? 2.5 : real())
    case 6:
      return real().min(real())
    case 7:
      return real().max(real())
    case 8:
      return random.chance(0.5) ? real().abs() : real().neg()
    case 9:
      return real().exp()
    case 10:
      return random.chance(0.5) ? real().abs().add(1).log() : real().log()
    case 11:
      return real().tanh()
    case 12:
      return real().floor()
    case 13:
      return select(drawTruth(random, pair, leaves, depth - 1), real(), real())
    case 14:
      return leaves.floats.at(within(whole()))
    default:
      return whole().toFloat()
  }
}

type Comparable<E> = { [Name in 'lt' | 'le' | 'gt' | 'ge' | 'eq' | 'ne']: (other: E) => BoolExpression }

function comparison<E extends Comparable<E>>(random: Random, left: E, right: E): BoolExpression {
  return left[random.pick(['lt', 'le', 'gt', 'ge', 'eq', 'ne'] as const)](right)
}

function within(index: IntExpression): IntExpression {
  return index.clamp(0, captured - 1)
}
