/** A sample as people read it: the middle, and where half of the measurements lie. */
export interface Spread {
  readonly median: number
  /** First quartile. */
  readonly low: number
  /** Third quartile. */
  readonly high: number
}

/** The value below which a fraction of the sample lies, by linear interpolation (Hyndman and Fan 1996, type 7). */
export function quantile(sample: readonly number[], fraction: number): number {
  if (sample.length === 0) return NaN
  const sorted = [...sample].sort((a, b) => a - b)
  const at = fraction * (sorted.length - 1)
  const below = sorted[Math.floor(at)] ?? NaN
  const above = sorted[Math.ceil(at)] ?? NaN
  return below + (above - below) * (at - Math.floor(at))
}

export function spreadOf(sample: readonly number[]): Spread {
  return { median: quantile(sample, 0.5), low: quantile(sample, 0.25), high: quantile(sample, 0.75) }
}

/**
 * How many times longer `theirs` took than `ours`, from measurements taken in pairs: the machine's mood of the moment
 * falls on both sides of a pair and cancels in its ratio.
 */
export function ratioOfPairs(theirs: readonly number[], ours: readonly number[]): Spread {
  return spreadOf(theirs.map((time, pair) => time / (ours[pair] ?? NaN)))
}

/**
 * Whether two spreads differ beyond noise: neither's middle half reaches into the other's, and the medians differ by
 * more than `tolerance` of the smaller.
 */
export function differs(before: Spread, after: Spread, tolerance = 0.05): boolean {
  const apart = before.high < after.low || after.high < before.low
  return apart && Math.abs(before.median - after.median) > tolerance * Math.min(before.median, after.median)
}
