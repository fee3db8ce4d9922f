import { stridesLike, type AttentionProblem, type AttentionResult, type OwnedTensor } from '@qkv/core'
import type { Operand } from '../operands.ts'
import type { DeviceProfile } from '../device-profile.ts'
import { attentionRows, prefillMatrix } from '../kernels/lazy.ts'
import { operand, type Workspace } from '../workspace.ts'
import { attentionShape, bindProblem } from './bind-problem.ts'
import { groupsPerSplit, runDecode, runRows, splitsFor } from './decode.ts'
import { fill } from './output.ts'
import { chooseMatrixUnit, runPrefillMatrix } from './prefill-matrix.ts'
import { chooseTiling, runPrefill } from './prefill.ts'
import { countedSplits, inSplits } from './splits.ts'

/** Loads what attention on such a device needs besides, so that nothing waits for it later; what cannot be loaded now is tried again then. */
export async function loadAttention({ software, matrixUnit }: DeviceProfile): Promise<void> {
  const kernels = [...(software ? [attentionRows] : []), ...(matrixUnit ? [prefillMatrix] : [])]
  await Promise.allSettled(kernels.map((kernel) => kernel.load()))
}

/** Allocates the results of a problem and records the kernels that compute them. */
export function attention(workspace: Workspace, problem: AttentionProblem, wantsLse: boolean): AttentionResult {
  const shape = attentionShape(problem)
  const output = workspace.allocate(shape, problem.query.dtype, stridesLike(shape, problem.query))
  const lse = workspace.allocate(shape.slice(0, 3), 'float32')
  attentionInto(workspace, problem, operand(workspace, 'output', output), operand(workspace, 'lse', lse))
  return { output, lse: keepIf(wantsLse, lse) }
}

export function keepIf(wanted: boolean, tensor: OwnedTensor): OwnedTensor | undefined {
  if (!wanted) tensor.dispose()
  return wanted ? tensor : undefined
}

/** Attention into existing memory; `lse` is contiguous float32. */
export function attentionInto(workspace: Workspace, problem: AttentionProblem, output: Operand, lse: Operand): void {
  if (problem.batch * problem.queryHeads * problem.queryLength === 0) return
  const unit = chooseMatrixUnit(workspace.profile, problem)
  if (unit !== undefined) {
    fill(workspace, output, (access, target) => runPrefillMatrix(workspace, problem, unit, { access, output: target }, lse.binding))
    return
  }
  const tile = chooseTiling(workspace.profile, problem)
  if (tile !== undefined) {
    fill(workspace, output, (access, target) => runPrefill(workspace, problem, tile, { access, output: target }, lse.binding))
    return
  }
  const bound = bindProblem(workspace, problem)
  const { profile } = workspace
  const most = splitsFor(profile, problem)
  if (profile.software) {
    const splits = { most, counted: undefined }
    inSplits(workspace, problem, splits, output, lse, (part) => runRows(workspace, problem, bound, splits, part))
  } else {
    const counted = countedSplits(workspace, problem, bound, { most, groupsPerSplit: groupsPerSplit(profile, problem) })
    const splits = { most, counted }
    inSplits(workspace, problem, splits, output, lse, (part) => runDecode(workspace, problem, bound, splits, part))
  }
}
