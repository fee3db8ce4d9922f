import { captureNode, indexNode } from '../expression/construct.ts'
import type { ExpressionNode, IndexName } from '../expression/node.ts'
import { analyseRanges, rangeAnalysis, type RangeAnalysis } from '../expression/range/analysis.ts'
import { isHostTensor, type HostTensor } from '../tensor.ts'
import { visibleKeys, type Visibility } from '../visibility.ts'
import type { Plane } from './planes.ts'

/** What a box of pairs holds: only hidden ones, only visible ones, or perhaps both. */
export const hidden = 0
export const visible = 1
export const mixed = 2
export type BoxState = typeof hidden | typeof visible | typeof mixed

/** Decides boxes of pairs; the ends are included. */
export interface BoxClassifier {
  setPlane(plane: Plane): void
  classify(firstRow: number, lastRow: number, firstKey: number, lastKey: number): BoxState
}

export function boxClassifier(visibility: Visibility): BoxClassifier {
  const { mask, maskMod } = visibility
  const analyses: RangeAnalysis[] = []
  if (maskMod !== undefined) analyses.push(rangeAnalysis(maskMod.node))
  if (mask !== undefined && isHostTensor(mask)) analyses.push(analyseRanges(readMask(mask)))
  const unknown = mask !== undefined && !isHostTensor(mask)
  let valid: Plane['validKeys'] = [0, 0]
  let position: Plane['position'] = [0, 0]
  return {
    setPlane(plane) {
      valid = plane.validKeys
      position = plane.position
      const { batch, head } = plane
      for (const analysis of analyses) analysis.setPlane([batch, batch], [head, head], position)
    },
    classify(firstRow, lastRow, firstKey, lastKey) {
      // Both ends of what a row sees grow with its position and with the valid keys.
      const earliest = visibleKeys(visibility, position[0] + firstRow, valid[0])
      const latest = visibleKeys(visibility, position[1] + lastRow, valid[1])
      if (lastKey < earliest.first || firstKey >= latest.end) return hidden
      let certain = !unknown && firstKey >= latest.first && lastKey < earliest.end
      const lastValid = Math.min(lastKey, valid[1] - 1)
      for (let each = 0; each < analyses.length; each++) {
        const analysis = analyses[each]!
        analysis.setBox(firstRow, lastRow, firstKey, lastValid)
        if (analysis.high() === 0) return hidden
        if (analysis.low() === 0) certain = false
      }
      return certain ? visible : mixed
    },
  }
}

/** A mask tensor as the expression that reads it, along the axes in which it is not broadcast. */
function readMask(mask: HostTensor): ExpressionNode {
  const axes = (['batch', 'head', 'row', 'key'] as const satisfies readonly IndexName[])
    .map((name, axis) => ({ name, size: mask.shape[axis] ?? 1, stride: mask.strides[axis] ?? 0 }))
    .filter(({ size, stride }) => stride !== 0 && size !== 1)
  const view = { ...mask, shape: axes.map(({ size }) => size), strides: axes.map(({ stride }) => stride) }
  return captureNode(
    'bool',
    view,
    axes.map(({ name }) => indexNode(name)),
  )
}
