import { floorModulo, highestInt, lowestInt } from '../arithmetic.ts'
import type { BinaryOperator } from '../node.ts'
import type { Linear } from './linear.ts'
import { commonStep, greatestCommonDivisor, setBool, setInt, stepOf, type Ranges } from './range.ts'

/** Sets one slot's range from the ranges of the slots it depends on. */
export type Step = () => void

/** Up to here, sums of float64 products are exact. */
const exactSums = 2 ** 52

/**
 * The range of a linear form; exact where its slots do not depend on each other. `wraps[slot]` becomes 1 where the form
 * may leave 32 bits, so that the number is no longer equal to it.
 */
export function linearStep(ranges: Ranges, slot: number, { constant, terms }: Linear, wraps: Uint8Array): Step {
  const slots = Int32Array.from(terms.keys())
  const coefficients = Float64Array.from(terms.values())
  return () => {
    let from = constant
    let to = constant
    let size = Math.abs(constant)
    let step = 0
    for (let term = 0; term < slots.length; term++) {
      const coefficient = coefficients[term]!
      const a = coefficient * ranges.low[slots[term]!]!
      const b = coefficient * ranges.high[slots[term]!]!
      from += Math.min(a, b)
      to += Math.max(a, b)
      size += Math.abs(a) + Math.abs(b)
      if (step !== 1) step = greatestCommonDivisor(Math.abs(coefficient) * stepOf(ranges, slots[term]!), step)
    }
    const wrapped = size > exactSums || from < lowestInt || to > highestInt
    wraps[slot] = wrapped ? 1 : 0
    if (wrapped) setInt(ranges, slot, -Infinity, Infinity)
    else setInt(ranges, slot, from, to, step || 1)
  }
}

/** The range of an operator's result from its operands' ranges, whatever they depend on. */
export function intStep(operator: BinaryOperator, ranges: Ranges, slot: number, a: number, b: number): Step {
  const { low, high } = ranges
  switch (operator) {
    case 'multiply':
      return () => corners(ranges, slot, a, b, (x, y) => x * y)
    case 'floorDivide':
      return () => {
        if (low[b]! <= 0 && high[b]! >= 0) setInt(ranges, slot, -Infinity, Infinity)
        else corners(ranges, slot, a, b, (x, y) => Math.floor(x / y))
      }
    case 'modulo':
      return () => modulo(ranges, slot, a, b)
    case 'minimum':
      return () => setInt(ranges, slot, Math.min(low[a]!, low[b]!), Math.min(high[a]!, high[b]!), commonStep(ranges, a, b) || 1)
    case 'maximum':
      return () => setInt(ranges, slot, Math.max(low[a]!, low[b]!), Math.max(high[a]!, high[b]!), commonStep(ranges, a, b) || 1)
    default:
      return () => setInt(ranges, slot, -Infinity, Infinity)
  }
}

/** For operations that are monotone in each operand, so that extremes lie at the ends. */
function corners(ranges: Ranges, slot: number, a: number, b: number, operation: (x: number, y: number) => number): void {
  const { low, high } = ranges
  const p = operation(low[a]!, low[b]!)
  const q = operation(low[a]!, high[b]!)
  const r = operation(high[a]!, low[b]!)
  const s = operation(high[a]!, high[b]!)
  setInt(ranges, slot, Math.min(p, q, r, s), Math.max(p, q, r, s))
}

function modulo(ranges: Ranges, slot: number, a: number, b: number): void {
  const { low, high } = ranges
  const divisor = low[b]!
  if (divisor !== high[b]) {
    if (divisor > 0) setInt(ranges, slot, 0, high[b]! - 1)
    else if (high[b]! < 0) setInt(ranges, slot, divisor + 1, 0)
    else setInt(ranges, slot, -Infinity, Infinity)
    return
  }
  const period = Math.floor(low[a]! / divisor)
  if (period === Math.floor(high[a]! / divisor)) {
    setInt(ranges, slot, low[a]! - period * divisor, high[a]! - period * divisor, ranges.step[a])
    return
  }
  // Over several periods only what the dividend's step and the divisor have in common remains.
  const step = greatestCommonDivisor(Math.abs(divisor), stepOf(ranges, a))
  const rest = floorModulo(low[a]!, step)
  if (divisor > 0) setInt(ranges, slot, rest, divisor - step + rest, step)
  else setInt(ranges, slot, divisor + (rest || step), rest && rest - step, step)
}

/** |x| keeps the step of numbers of one sign, and of multiples of it. */
export function absoluteStep(ranges: Ranges, slot: number, a: number): Step {
  const { low, high, step } = ranges
  return () => {
    const from = low[a]!
    const to = high[a]!
    if (from >= 0) setInt(ranges, slot, from, to, step[a])
    else if (to <= 0) setInt(ranges, slot, -to, -from, step[a])
    else setInt(ranges, slot, 0, Math.max(-from, to), from % step[a]! === 0 ? step[a] : 1)
  }
}

/** Whether `operator` holds between numbers whose difference is one of `from, from + step, …, to`. */
export function compareDifference(
  operator: BinaryOperator,
  ranges: Ranges,
  slot: number,
  from: number,
  to: number,
  step: number,
): void {
  const equal = from === 0 && to === 0
  const unequal = from > 0 || to < 0 || (step > 1 && from % step !== 0)
  switch (operator) {
    case 'less':
      return setBool(ranges, slot, to < 0, from < 0)
    case 'lessOrEqual':
      return setBool(ranges, slot, to <= 0, from <= 0)
    case 'greater':
      return setBool(ranges, slot, from > 0, to > 0)
    case 'greaterOrEqual':
      return setBool(ranges, slot, from >= 0, to >= 0)
    case 'equal':
      return setBool(ranges, slot, equal, !unequal)
    default:
      return setBool(ranges, slot, unequal, !equal)
  }
}
