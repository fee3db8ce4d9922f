import type { QkvError } from '../../errors.ts'
import { refusal } from '../../refusal.ts'
import type { ExpressionNode } from '../node.ts'
import { nodesOf } from '../visit.ts'
import { boxSlots, compile, firstNodeSlot, mostTokens } from './compile.ts'
import { makeRanges } from './range.ts'

/** Least and greatest, both included. */
export type Ends = readonly [low: number, high: number]

/**
 * Interval and congruence analysis: what an expression may be over a box of token pairs. Always sound: no value lies
 * outside its range.
 */
export interface RangeAnalysis {
  /** Captured tensors and scalars are read anew. */
  begin(): void
  /** `position` is that of query row 0 among the keys. */
  setPlane(batch: Ends, head: Ends, position: Ends): void
  /** All ends are included. */
  setBox(firstRow: number, lastRow: number, firstKey: number, lastKey: number): void
  /** The least that the expression may be over the box; of a truth, 1 where it is certain. */
  low(): number
  /** The greatest; of a truth, 0 where it is impossible. */
  high(): number
}

/** Analyses, made once for each expression. */
const analyses = new WeakMap<ExpressionNode, RangeAnalysis>()

/** The expression's analysis, which callers share: it is theirs until they return. */
export function rangeAnalysis(root: ExpressionNode): RangeAnalysis {
  const analysis = analyses.get(root) ?? analyseRanges(root)
  analyses.set(root, analysis)
  analysis.begin()
  return analysis
}

export function analyseRanges(root: ExpressionNode): RangeAnalysis {
  const nodes = nodesOf(root)
  const ranges = makeRanges(firstNodeSlot + nodes.length)
  const { planeSteps, boxSteps, captured } = compile(root, nodes, ranges)
  const rootSlot = firstNodeSlot + nodes.length - 1
  const { low, high } = ranges
  const set = (slot: number, from: number, to: number): void => {
    if (to >= mostTokens || from <= -mostTokens) throw tooLong(Math.max(to, -from))
    low[slot] = from
    high[slot] = to
  }
  return {
    begin: () => captured.forEach((elements) => elements.forget()),
    setPlane(batch, head, position) {
      set(boxSlots.batch, ...batch)
      set(boxSlots.head, ...head)
      set(boxSlots.origin, ...position)
      planeSteps.forEach((step) => step())
    },
    setBox(firstRow, lastRow, firstKey, lastKey) {
      set(boxSlots.row, firstRow, lastRow)
      set(boxSlots.key, firstKey, lastKey)
      for (let step = 0; step < boxSteps.length; step++) boxSteps[step]!()
    },
    low: () => low[rootSlot]!,
    high: () => high[rootSlot]!,
  }
}

function tooLong(tokens: number): QkvError {
  return refusal('LIMIT_EXCEEDED', 'expression', 'tokens', `fewer than ${mostTokens}`, String(tokens))
}
