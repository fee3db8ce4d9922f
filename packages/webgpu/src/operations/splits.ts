import type { AttentionProblem, FloatDtype } from '@qkv/core'
import { hasVectors, type Operand } from '../operands.ts'
import type { Access } from '../snippets/elements.wgsl.ts'
import { scratchOperand, type Workspace } from '../workspace.ts'
import { attentionShape } from './bind-problem.ts'
import { mergeParts } from './merge.ts'
import { fill } from './output.ts'

/** Where a kernel that takes a share of the keys puts its results: of all keys in place, or of each split in turn. */
export interface SplitTarget {
  readonly access: Access<FloatDtype>
  readonly output: Operand
  readonly splitStride: number
  readonly lse: GPUBufferBinding
}

/** Few rows over many keys would leave most of the device idle: their keys are split and the parts merged. */
export function inSplits(
  workspace: Workspace,
  problem: AttentionProblem,
  splits: number,
  output: Operand,
  lse: Operand,
  run: (splits: number, target: SplitTarget) => void,
): void {
  if (splits === 1) {
    fill(workspace, output, (access, target) => run(1, { access, output: target, splitStride: 0, lse: lse.binding }))
    return
  }
  const rows = problem.batch * problem.queryHeads * problem.queryLength
  const shape = [splits, ...attentionShape(problem)]
  const parts = scratchOperand(workspace, shape)
  const partsLse = scratchOperand(workspace, [splits, rows])
  const first = { ...parts, shape: shape.slice(1), strides: parts.strides.slice(1) }
  const access: Access<FloatDtype> = { dtype: 'float32', vectors: hasVectors(first) }
  run(splits, { access, output: first, splitStride: rows * problem.valueDim, lse: partsLse.binding })
  mergeParts(workspace, { parts: splits, rows, partial: parts.binding, partialLse: partsLse.binding }, output, lse)
}
