import { checkShape } from '../refuse.ts'
import type { WeightMap } from './weights.ts'

/** How well a cross-attention head points at what a target token was made from. */
export interface Alignment {
  /** The share of target tokens whose most attended source is a right one. */
  readonly accuracy: number
  /** The mean weight on right sources. */
  readonly mass: number
}

/**
 * Which heads of an encoder–decoder align targets with sources: the measure by which translation's alignment heads and
 * the timing heads of speech models are found (Garg et al., Jointly learning to align and translate, 2019,
 * arXiv:1909.02074; Radford et al., Robust speech recognition, 2022, arXiv:2212.04356). One for each head of a layer.
 *
 * @param map `[head][target][source]`, of cross-attention
 * @param sources for each target token, the sources that are right; targets with none are not counted
 * @throws QkvError `SHAPE_MISMATCH` where there are not as many rows as targets.
 */
export function alignment(map: WeightMap, sources: readonly (readonly number[])[]): Alignment[] {
  return map.map((rows, head) => {
    checkShape('inspect.alignment', `map[${head}]`, [rows.length], [sources.length])
    const counted = rows.map((row, target) => ({ row, right: sources[target] ?? [] })).filter(({ right }) => right.length > 0)
    const count = Math.max(1, counted.length)
    const hits = counted.filter(({ row, right }) => right.includes(row.indexOf(row.reduce((a, b) => Math.max(a, b), 0)))).length
    const mass = counted.reduce((sum, { row, right }) => sum + right.reduce((own, source) => own + (row[source] ?? 0), 0), 0)
    return { accuracy: hits / count, mass: mass / count }
  })
}
