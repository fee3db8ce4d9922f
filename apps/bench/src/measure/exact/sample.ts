/** One number of a result beside what it should be. */
export interface Sample {
  readonly actual: number
  readonly exact: number
  /** How far a correct float32 kernel may be off; undefined where that is not derived. */
  readonly bound: number | undefined
}

/** Rows at the ends and some between. */
export function sampledRows(rows: number): Set<number> {
  return new Set([0, 1, 2, 3, 5, 8].flatMap((eighth) => [Math.floor((eighth * (rows - 1)) / 8), Math.min(rows - 1, 63 + eighth)]))
}
