import { firstPosition, visibleKeys } from '@qkv/core'
import type { HostProblem } from './host-problem.ts'
import type { ScoreRule } from './score-rule.ts'

/** Which keys each row of a query tile may see at most, by `causal`, `window` and the length of its sequence. */
export interface RowRanges {
  /** Position of the tile's first row among the keys. */
  position: number
  readonly first: Int32Array
  readonly end: Int32Array
}

export function makeRowRanges(rows: number): RowRanges {
  return { position: 0, first: new Int32Array(rows), end: new Int32Array(rows) }
}

export function findRowRanges(ranges: RowRanges, problem: HostProblem, batch: number, firstRow: number, rows: number): void {
  const validKeys = validKeysOf(problem, batch)
  ranges.position = firstPosition(problem, validKeys) + firstRow
  for (let i = 0; i < rows; i++) {
    const { first, end } = visibleKeys(problem, ranges.position + i, validKeys)
    ranges.first[i] = first
    ranges.end[i] = end
  }
}

export function validKeysOf({ lengths, keyLength }: HostProblem, batch: number): number {
  return lengths === undefined ? keyLength : lengths.storage[lengths.offset + batch * lengths.strides[0]!]!
}

/** A tile of scores: of `rows` queries from `firstRow` on and `keys` keys from `firstKey` on, of one head. */
export interface ScoreTile {
  readonly scores: Float64Array
  /** The score of row `i` and key `j` is at `i·rowStep + j·keyStep`. */
  readonly rowStep: number
  readonly keyStep: number
  batch: number
  head: number
  firstRow: number
  rows: number
  firstKey: number
  keys: number
  /** Every row sees every key. */
  full: boolean
}

/** Where a tile stands before it is first put somewhere. */
export const unplaced = { batch: 0, head: 0, firstRow: 0, rows: 0, firstKey: 0, keys: 0, full: false }

/** Scaled products become final scores, −∞ where a row does not see a key. */
export function finishScores(tile: ScoreTile, { hides, change }: ScoreRule, ranges: RowRanges): void {
  if (tile.full && change === undefined) return
  const { scores, rowStep, keyStep, batch, head, firstRow, rows, firstKey, keys, full } = tile
  const hidesAny = full ? undefined : hides
  for (let i = 0; i < rows; i++) {
    const first = full ? 0 : Math.max(0, Math.min(keys, ranges.first[i]! - firstKey))
    const end = full ? keys : Math.max(first, Math.min(keys, ranges.end[i]! - firstKey))
    const row = firstRow + i
    const position = ranges.position + i
    const start = i * rowStep
    for (let j = 0; j < first; j++) scores[start + j * keyStep] = -Infinity
    for (let j = end; j < keys; j++) scores[start + j * keyStep] = -Infinity
    if (hidesAny === undefined && change === undefined) continue
    for (let j = first; j < end; j++) {
      const at = start + j * keyStep
      const key = firstKey + j
      if (hidesAny?.(batch, head, row, position, key)) scores[at] = -Infinity
      else if (change !== undefined) scores[at] = change(batch, head, row, position, key, scores[at]!)
    }
  }
}
