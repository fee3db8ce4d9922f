import type { BinaryOperator, UnaryOperator } from '../node.ts'
import { compareDifference } from './int-steps.ts'
import { setBool, setFromEnds, type Ranges, type Step } from './range.ts'

/**
 * Kernels compute floats in float32, each platform with its own rounding, and the reference in float64: a range that
 * decides a mask has to hold for all of them. After every operation it is widened by more than the loosest platform's
 * error (WGSL's exp: 3 + 2|x| units in the last place, |x| < 104).
 */
const rounding = 2 ** -14
/** Also the largest error of log near 1 and of tanh, and where float32 runs out. */
const absoluteRounding = 2 ** -18
const largestFloat = 3.4e38

export function setFloat({ low, high }: Ranges, slot: number, from: number, to: number, widened = true): void {
  const margin = widened ? rounding * Math.max(Math.abs(from), Math.abs(to)) + absoluteRounding : 0
  const known = from - margin >= -largestFloat && to + margin <= largestFloat
  low[slot] = known ? from - margin : -Infinity
  high[slot] = known ? to + margin : Infinity
}

/** Below the normal numbers of any float dtype a GPU may take an element for 0. */
const smallestNormal = 2 ** -14

/** Sets the range of elements as they are stored. */
export function setElement(ranges: Ranges, slot: number, from: number, to: number): void {
  const least = from > 0 && from < smallestNormal ? 0 : from
  const greatest = to < 0 && to > -smallestNormal ? 0 : to
  setFloat(ranges, slot, least, greatest, false)
}

/** Every whole number to 2²⁴ is a float32. */
export function toFloatStep(ranges: Ranges, slot: number, a: number): Step {
  const { low, high } = ranges
  return () => setFloat(ranges, slot, low[a]!, high[a]!, low[a]! < -(2 ** 24) || high[a]! > 2 ** 24)
}

export function floatUnaryStep(operator: UnaryOperator, ranges: Ranges, slot: number, a: number): Step {
  const { low, high } = ranges
  switch (operator) {
    case 'negate':
      return () => setFloat(ranges, slot, -high[a]!, -low[a]!, false)
    case 'absolute':
      return () => {
        const least = low[a]! > 0 ? low[a]! : high[a]! < 0 ? -high[a]! : 0
        setFloat(ranges, slot, least, Math.max(-low[a]!, high[a]!), false)
      }
    case 'floor':
      return () => setFloat(ranges, slot, Math.floor(low[a]!), Math.floor(high[a]!), false)
    case 'exp':
      return () => setFloat(ranges, slot, Math.exp(low[a]!), Math.exp(high[a]!))
    case 'log':
      return () => setFloat(ranges, slot, Math.log(low[a]!), Math.log(high[a]!))
    case 'tanh':
      return () => {
        const known = Number.isFinite(low[a]!)
        setFloat(ranges, slot, known ? Math.tanh(low[a]!) : -Infinity, Math.tanh(high[a]!))
      }
    default:
      return () => setFloat(ranges, slot, -Infinity, Infinity)
  }
}

export function floatBinaryStep(operator: BinaryOperator, ranges: Ranges, slot: number, a: number, b: number): Step {
  const { low, high } = ranges
  switch (operator) {
    case 'add':
      return () => setFloat(ranges, slot, low[a]! + low[b]!, high[a]! + high[b]!)
    case 'subtract':
      return () => setFloat(ranges, slot, low[a]! - high[b]!, high[a]! - low[b]!)
    case 'multiply':
      return () => setFromEnds(setFloat, ranges, slot, a, b, (x, y) => x * y)
    case 'divide':
      return () => quotient(ranges, slot, a, b)
    case 'minimum':
      return () => setFloat(ranges, slot, Math.min(low[a]!, low[b]!), Math.min(high[a]!, high[b]!), false)
    case 'maximum':
      return () => setFloat(ranges, slot, Math.max(low[a]!, low[b]!), Math.max(high[a]!, high[b]!), false)
    case 'floorDivide':
      return () => {
        quotient(ranges, slot, a, b)
        setFloat(ranges, slot, Math.floor(low[slot]!), Math.floor(high[slot]!), false)
      }
    default:
      return () => setFloat(ranges, slot, -Infinity, Infinity)
  }
}

function quotient(ranges: Ranges, slot: number, a: number, b: number): void {
  if (ranges.low[b]! <= 0 && ranges.high[b]! >= 0) setFloat(ranges, slot, -Infinity, Infinity)
  else setFromEnds(setFloat, ranges, slot, a, b, (x, y) => x / y)
}

export function floatCompareStep(operator: BinaryOperator, ranges: Ranges, slot: number, a: number, b: number): Step {
  const { low, high } = ranges
  return () => {
    const from = low[a]! - high[b]!
    const to = high[a]! - low[b]!
    if (Number.isFinite(from) && Number.isFinite(to)) compareDifference(operator, ranges, slot, from, to, 0)
    else setBool(ranges, slot, false, true)
  }
}
