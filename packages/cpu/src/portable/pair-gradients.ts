import type { GradientSetting } from './gradient-setting.ts'
import type { ScoreGradient } from './score-gradient.ts'
import { unplaced, type RowRanges, type ScoreTile } from './score-tile.ts'
import { multiplyAdd, noWeight, padded } from './tile-products.ts'
import type { VectorTile } from './vectors.ts'

/** A tile whose scores become weights while the products dO·v beside them become gradients of the scaled products. */
export interface GradientTile extends ScoreTile {
  readonly gradients: Float64Array
}

/** A tile with a line of `width` numbers for each row, or, transposed, for each key. */
export function makeGradientTile(lineFor: 'row' | 'key', lines: number, width: number): GradientTile {
  const [rowStep, keyStep] = lineFor === 'row' ? [width, 1] : [1, width]
  return { scores: new Float64Array(lines * width), gradients: new Float64Array(lines * width), rowStep, keyStep, ...unplaced }
}

/** Vectors of the lines of a tile, or of those across: queries and output gradients, or keys and values. */
interface Side {
  readonly count: number
  readonly ofScores: VectorTile
  readonly ofGradients: VectorTile
}

/** q·k into the scores and dO·v into the gradients; lines' vectors lie as rows, those across as columns. */
export function multiplyPairs({ scores, gradients }: GradientTile, lines: Side, across: Side): void {
  const columns = padded(across.count)
  for (const [products, { data, step }, other] of [
    [scores, lines.ofScores, across.ofScores],
    [gradients, lines.ofGradients, across.ofGradients],
  ] as const) {
    products.fill(0)
    multiplyAdd(data, step, other.data, other.elementStep, products, lines.count, step, columns)
  }
}

/** For each pair: p = exp(s − lse) and ds = p·(dp − D), taken back to the scaled product. Hidden pairs have no weight. */
export function pairGradients(
  tile: GradientTile,
  { problem, rule, lse, delta }: GradientSetting,
  ranges: RowRanges,
  back: ScoreGradient | undefined,
): void {
  const { scores, gradients, rowStep, keyStep, batch, head, firstRow, rows, firstKey, keys, full } = tile
  const { change, drops, keptWeight } = rule
  const hides = full ? undefined : rule.hides
  const firstLine = (batch * problem.queryHeads + head) * problem.queryLength + firstRow
  for (let i = 0; i < rows; i++) {
    const row = firstRow + i
    const position = ranges.position + i
    const d = delta[firstLine + i]!
    const rowLse = lse[firstLine + i]!
    for (let j = 0; j < keys; j++) {
      const at = i * rowStep + j * keyStep
      const key = firstKey + j
      const hidden = !full && (key < ranges.first[i]! || key >= ranges.end[i]! || hides?.(batch, head, row, position, key) === true)
      const scaled = scores[at]!
      const s = hidden ? -Infinity : change === undefined ? scaled : change(batch, head, row, position, key, scaled)
      if (s === -Infinity) {
        scores[at] = noWeight
        gradients[at] = noWeight
        continue
      }
      const p = weightFromLse(s, rowLse)
      const dropped = drops?.(batch, head, row, position, key) === true
      const dFinal = p * ((dropped ? 0 : keptWeight * gradients[at]!) - d)
      scores[at] = dropped ? noWeight : p * keptWeight
      gradients[at] = back === undefined ? dFinal : back(batch, head, row, position, key, scaled, dFinal)
    }
  }
}

/** exp(s − lse), at most 1: an lse rounded to float32 may lie below a large score by more than exp bears. */
export function weightFromLse(score: number, lse: number): number {
  return Math.exp(Math.min(0, score - lse))
}
