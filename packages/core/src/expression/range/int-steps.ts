import { floorModulo, highestInt, lowestInt } from '../arithmetic.ts'
import type { BinaryOperator } from '../node.ts'
import type { Linear } from './linear.ts'
import {
  commonStep,
  greatestCommonDivisor,
  setAnyInt,
  setBool,
  setFromEnds,
  setInt,
  stepOf,
  type Ranges,
  type Step,
} from './range.ts'

/** Up to here, sums of float64 products are exact. */
const exactSums = 2 ** 52

/** The values that a linear form takes: `from, from + step, …, to`. */
interface Span {
  from: number
  to: number
  /** 0 where there is but one. */
  step: number
}

/** What finds the span of a linear form, exact where its slots do not depend on each other; false where it cannot. */
function spanOf({ low, high, step }: Ranges, { constant, terms }: Linear, span: Span): () => boolean {
  const slots = Int32Array.from(terms.keys())
  const coefficients = Float64Array.from(terms.values())
  return () => {
    let from = constant
    let to = constant
    let common = 0
    let size = Math.abs(constant)
    for (let term = 0; term < slots.length; term++) {
      const slot = slots[term]!
      const coefficient = coefficients[term]!
      const a = coefficient * low[slot]!
      const b = coefficient * high[slot]!
      from += a < b ? a : b
      to += a < b ? b : a
      size += Math.abs(a) + Math.abs(b)
      if (common !== 1 && a !== b) common = greatestCommonDivisor(Math.abs(coefficient) * step[slot]!, common)
    }
    span.from = from
    span.to = to
    span.step = common
    return size <= exactSums
  }
}

/** The range of a linear form. `wraps[slot]` becomes 1 where it may leave 32 bits, so that the number may not equal it. */
export function linearStep(ranges: Ranges, slot: number, form: Linear, wraps: Uint8Array): Step {
  const span: Span = { from: 0, to: 0, step: 0 }
  const find = spanOf(ranges, form, span)
  return () => {
    const fits = find() && span.from >= lowestInt && span.to <= highestInt
    wraps[slot] = fits ? 0 : 1
    if (fits) setInt(ranges, slot, span.from, span.to, span.step || 1)
    else setAnyInt(ranges, slot)
  }
}

/** The truth of a comparison from the difference of the sides' linear forms, which they equal. */
export function differenceStep(operator: BinaryOperator, ranges: Ranges, slot: number, difference: Linear): Step {
  const span: Span = { from: 0, to: 0, step: 0 }
  const find = spanOf(ranges, difference, span)
  return () => {
    if (find()) compareDifference(operator, ranges, slot, span.from, span.to, span.step)
    else setBool(ranges, slot, false, true)
  }
}

/** The truth of a comparison from the sides' ranges alone. */
export function intCompareStep(operator: BinaryOperator, ranges: Ranges, slot: number, a: number, b: number): Step {
  const { low, high } = ranges
  return () => compareDifference(operator, ranges, slot, low[a]! - high[b]!, high[a]! - low[b]!, commonStep(ranges, a, b))
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

/** The range of an operator's result from its operands' ranges, whatever they depend on. */
export function intStep(operator: BinaryOperator, ranges: Ranges, slot: number, a: number, b: number): Step {
  const { low, high } = ranges
  switch (operator) {
    case 'multiply':
      return () => setFromEnds(setInt, ranges, slot, a, b, (x, y) => x * y)
    case 'floorDivide':
      return () => {
        if (low[b]! <= 0 && high[b]! >= 0) setAnyInt(ranges, slot)
        else setFromEnds(setInt, ranges, slot, a, b, (x, y) => Math.floor(x / y))
      }
    case 'modulo':
      return () => modulo(ranges, slot, a, b)
    case 'minimum':
      return () => setInt(ranges, slot, Math.min(low[a]!, low[b]!), Math.min(high[a]!, high[b]!), commonStep(ranges, a, b) || 1)
    case 'maximum':
      return () => setInt(ranges, slot, Math.max(low[a]!, low[b]!), Math.max(high[a]!, high[b]!), commonStep(ranges, a, b) || 1)
    default:
      return () => setAnyInt(ranges, slot)
  }
}

function modulo(ranges: Ranges, slot: number, a: number, b: number): void {
  const { low, high } = ranges
  const divisor = low[b]!
  if (divisor <= 0 && high[b]! >= 0) return setAnyInt(ranges, slot)
  if (divisor !== high[b]) return divisor > 0 ? setInt(ranges, slot, 0, high[b]! - 1) : setInt(ranges, slot, divisor + 1, 0)
  const period = Math.floor(low[a]! / divisor)
  if (period === Math.floor(high[a]! / divisor)) {
    return setInt(ranges, slot, low[a]! - period * divisor, high[a]! - period * divisor, ranges.step[a])
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

/** A floored float as a whole number; where nothing is known of it, nothing is known of the result. */
export function toIntStep(ranges: Ranges, slot: number, a: number): Step {
  const within = (value: number): number => Math.max(lowestInt, Math.min(highestInt, value))
  return () => setInt(ranges, slot, within(ranges.low[a]!), within(ranges.high[a]!))
}
