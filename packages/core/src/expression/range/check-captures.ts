import type { AttentionProblem } from '../../problem.ts'
import { firstPosition, validKeysOf } from '../../visibility.ts'
import type { ExpressionNode } from '../node.ts'
import { printExpression } from '../print.ts'
import { rejected } from '../rejected.ts'
import { nodesOf } from '../visit.ts'
import { rangeAnalysis, type Ends } from './analysis.ts'

/** The tokens of a call. */
type TokenSizes = Pick<AttentionProblem, 'batch' | 'queryHeads' | 'queryLength' | 'keyLength' | 'alignment' | 'lengths'>

/**
 * Proves that every index by which a problem's expressions read captured tensors lies within them, for all tokens of the
 * problem: what kernels rely on, which read without looking. Whoever computes asks at each call, before anything else, since
 * scalars and captured tensors count as they are then.
 *
 * @throws QkvError `EXPRESSION_REJECTED` naming the index that cannot be proven to, and what it may be.
 */
export function checkCaptures(operation: string, problem: TokenSizes & Pick<AttentionProblem, 'maskMod' | 'scoreMod'>): void {
  const { maskMod, scoreMod } = problem
  if (maskMod !== undefined) checkIndices(operation, 'mask', maskMod.node, problem)
  if (scoreMod !== undefined) checkIndices(operation, 'score', scoreMod.node, problem)
}

function checkIndices(operation: string, argument: string, root: ExpressionNode, sizes: TokenSizes): void {
  const { batch, queryHeads, queryLength, keyLength } = sizes
  const captures = nodesOf(root).flatMap((node) => (node.kind === 'capture' ? [node] : []))
  if (captures.length === 0 || batch * queryHeads * queryLength * keyLength === 0) return
  const position = positionsOf(sizes)
  for (const { tensor, indices } of captures) {
    indices.forEach((index, axis) => {
      const analysis = rangeAnalysis(index)
      analysis.setPlane([0, batch - 1], [0, queryHeads - 1], position)
      analysis.setBox(0, queryLength - 1, 0, keyLength - 1)
      const [low, high] = [analysis.low(), analysis.high()]
      const last = (tensor.shape[axis] ?? 0) - 1
      if (low >= 0 && high <= last) return
      throw rejected(
        `${argument}'s index ${axis} into a captured tensor [${tensor.shape.join(',')}], ${printExpression(index)},`,
        `provably from 0 to ${last} for all tokens of the call (clamp(0, ${last}) makes it so)`,
        `${low} to ${high}`,
        operation,
      )
    })
  }
}

/** Where query row 0 may stand. */
function positionsOf(sizes: TokenSizes): Ends {
  const valid = Array.from({ length: sizes.lengths ? sizes.batch : 1 }, (_, entry) => validKeysOf(sizes, entry)).flat()
  return [firstPosition(sizes, Math.min(...valid)), firstPosition(sizes, Math.max(...valid))]
}
