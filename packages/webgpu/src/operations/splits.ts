import { isHostTensor, type AttentionProblem, type FloatDtype } from '@qkv/core'
import { countSplits } from '../kernels/count-splits.wgsl.ts'
import { hasVectors, type Operand } from '../operands.ts'
import type { Access } from '../snippets/elements.wgsl.ts'
import { scratchOperand, type Workspace } from '../workspace.ts'
import { attentionShape, type BoundProblem } from './bind-problem.ts'
import { mergeParts, type CountedParts } from './merge.ts'
import { fill } from './output.ts'

/** Where a kernel that takes a share of the keys puts its results: of all keys in place, or of each split in turn. */
export interface SplitTarget {
  readonly access: Access<FloatDtype>
  readonly output: Operand
  readonly splitStride: number
  readonly lse: GPUBufferBinding
}

/** How many shares the keys of a problem are divided into. */
export interface Splits {
  /** All of them, unless they are counted on the device. */
  readonly most: number
  readonly counted: CountedSplits | undefined
}

export interface CountedSplits extends CountedParts {
  /** The workgroups of decode, as an indirect dispatch takes them. */
  readonly groups: GPUBuffer
}

/** Has the device count the splits where only it knows how long sequences are. */
export function countedSplits(
  { recorder }: Workspace,
  { lengths, batch }: AttentionProblem,
  { parameters, buffers }: BoundProblem,
  { most, groupsPerSplit }: { readonly most: number; readonly groupsPerSplit: number },
): CountedSplits | undefined {
  const { context } = buffers
  if (most === 1 || context === undefined || lengths === undefined || isHostTensor(lengths)) return undefined
  const groups = recorder.scratch(16)
  recorder.dispatch(
    countSplits,
    {},
    {
      parameters: { ...parameters, most, groupsPerSplit },
      buffers: { context, groups: { buffer: groups, size: 12 } },
      groups: 1,
      work: batch,
    },
  )
  return { context, at: parameters['splitsAt'] ?? 0, groups }
}

/** Few rows over many keys would leave most of the device idle: their keys are split and the parts merged. */
export function inSplits(
  workspace: Workspace,
  problem: AttentionProblem,
  { most, counted }: Splits,
  output: Operand,
  lse: Operand,
  run: (target: SplitTarget) => void,
): void {
  if (most === 1) {
    fill(workspace, output, (access, target) => run({ access, output: target, splitStride: 0, lse: lse.binding }))
    return
  }
  const rows = problem.batch * problem.queryHeads * problem.queryLength
  const shape = [most, ...attentionShape(problem)]
  const parts = scratchOperand(workspace, shape)
  const partsLse = scratchOperand(workspace, [most, rows])
  const first = { ...parts, shape: shape.slice(1), strides: parts.strides.slice(1) }
  const access: Access<FloatDtype> = { dtype: 'float32', vectors: hasVectors(first) }
  run({ access, output: first, splitStride: rows * problem.valueDim, lse: partsLse.binding })
  mergeParts(workspace, { parts: most, counted, rows, partial: parts.binding, partialLse: partsLse.binding }, output, lse)
}
