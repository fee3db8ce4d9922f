import { highestInt, lowestInt } from '../arithmetic.ts'

/**
 * What is known of each slot's value over a box of token pairs. A whole number is one of `low, low + step, …, high`
 * (interval and congruence in one); a truth 0…1, 1…1 or 0…0; a float lies within `low…high`, or is anything, even no
 * number, where these are infinite (then both are).
 */
export interface Ranges {
  readonly low: Float64Array
  readonly high: Float64Array
  readonly step: Float64Array
}

/** Sets one slot's range from the ranges of the slots it depends on. */
export type Step = () => void

export function makeRanges(slots: number): Ranges {
  return { low: new Float64Array(slots), high: new Float64Array(slots), step: new Float64Array(slots).fill(1) }
}

/** Sets a whole number's range. One that 32 bits do not hold wraps around, and may then be anything. */
export function setInt({ low, high, step }: Ranges, slot: number, from: number, to: number, by = 1): void {
  const fits = from >= lowestInt && to <= highestInt
  low[slot] = fits ? from : lowestInt
  high[slot] = fits ? to : highestInt
  step[slot] = fits ? by : 1
}

/** Of a whole number that may be anything. */
export function setAnyInt(ranges: Ranges, slot: number): void {
  setInt(ranges, slot, lowestInt, highestInt)
}

/** Sets a truth: certain where both ends agree. */
export function setBool({ low, high }: Ranges, slot: number, certain: boolean, possible: boolean): void {
  low[slot] = certain ? 1 : 0
  high[slot] = possible ? 1 : 0
}

/** Sets a value that is known to be one of two slots', which are whole numbers or both are not. */
export function setEither(ranges: Ranges, slot: number, a: number, b: number, whole: boolean): void {
  const { low, high, step } = ranges
  if (whole) step[slot] = commonStep(ranges, a, b) || 1
  low[slot] = Math.min(low[a]!, low[b]!)
  high[slot] = Math.max(high[a]!, high[b]!)
}

/** The step between a slot's possible values; 0 where it has but one. */
export function stepOf({ low, high, step }: Ranges, slot: number): number {
  return low[slot] === high[slot] ? 0 : step[slot]!
}

/** The step of all values of both slots together. */
export function commonStep(ranges: Ranges, a: number, b: number): number {
  const apart = Math.abs(ranges.low[a]! - ranges.low[b]!)
  return greatestCommonDivisor(greatestCommonDivisor(stepOf(ranges, a), stepOf(ranges, b)), apart)
}

export function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b]
  return a
}

/** Sets the range of an operation that is monotone in each operand: its extremes lie at the ends of theirs. */
export function setFromEnds(
  set: (ranges: Ranges, slot: number, from: number, to: number) => void,
  ranges: Ranges,
  slot: number,
  a: number,
  b: number,
  operation: (x: number, y: number) => number,
): void {
  const { low, high } = ranges
  const p = operation(low[a]!, low[b]!)
  const q = operation(low[a]!, high[b]!)
  const r = operation(high[a]!, low[b]!)
  const s = operation(high[a]!, high[b]!)
  set(ranges, slot, Math.min(p, q, r, s), Math.max(p, q, r, s))
}
