import type { AttentionProblem } from '@qkv/core'
import { invocationsPerGroup } from '../kernel.ts'
import { attentionRows } from '../kernels/attention-rows.wgsl.ts'
import { strideParameters } from '../operands.ts'
import type { Workspace } from '../workspace.ts'
import { attentionWork, type BoundProblem } from './bind-problem.ts'
import type { SplitTarget, Splits } from './splits.ts'

/** One invocation per row: what software adapters run best. */
export function runRows(
  { recorder }: Workspace,
  problem: AttentionProblem,
  bound: BoundProblem,
  { most: splits }: Splits,
  { access, output, splitStride, lse }: SplitTarget,
): void {
  const rows = problem.batch * problem.queryHeads * problem.queryLength
  recorder.dispatch(
    attentionRows,
    { problem: bound.spec, output: access },
    {
      parameters: {
        ...bound.parameters,
        splits,
        ...strideParameters('output', output),
        outputSplitStride: splitStride,
      },
      buffers: { ...bound.buffers, output: output.binding, lse },
      groups: Math.ceil((rows * splits) / invocationsPerGroup),
      work: attentionWork(problem),
    },
  )
}
