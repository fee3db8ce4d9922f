import { stridesLike, type AttentionProblem, type AttentionResult, type OwnedTensor } from '@qkv/core'
import { checkCaptures } from '@qkv/core/expression'
import type { DeviceProfile } from '../device-profile.ts'
import { unavailable } from '../errors.ts'
import type { Operand } from '../operands.ts'
import { operand, type Workspace } from '../workspace.ts'
import { attentionShape, bindProblem } from './bind-problem.ts'
import { groupsPerSplit, runDecode, splitsFor } from './decode.ts'
import { fill } from './output.ts'
import { runPrefill } from './prefill.ts'
import { countedSplits, inSplits } from './splits.ts'
import { chooseTiling } from './tilings.ts'

/** What few devices compute attention with, besides `prefill` and `decode`: loaded with a backend, as its profile asks for. */
export interface DeviceKernels {
  readonly rows: typeof import('./rows.ts') | undefined
  readonly matrices: typeof import('./prefill-matrix.ts') | undefined
}

/** @throws QkvError `DEVICE_UNAVAILABLE` where they cannot be loaded; a device that is `owned` is destroyed then. */
export async function loadDeviceKernels({ software, matrixUnit }: DeviceProfile, owned?: GPUDevice): Promise<DeviceKernels> {
  try {
    return {
      rows: software ? await import('./rows.ts') : undefined,
      matrices: matrixUnit ? await import('./prefill-matrix.ts') : undefined,
    }
  } catch (cause) {
    owned?.destroy()
    throw unavailable(`no kernels (${String(cause)})`)
  }
}

/** Allocates the results of a problem and records the kernels that compute them. */
export function attention(
  workspace: Workspace,
  kernels: DeviceKernels,
  problem: AttentionProblem,
  wantsLse: boolean,
): AttentionResult {
  const shape = attentionShape(problem)
  const output = workspace.allocate(shape, problem.query.dtype, stridesLike(shape, problem.query))
  const lse = workspace.allocate(shape.slice(0, 3), 'float32')
  attentionInto(workspace, kernels, problem, operand(workspace, 'output', output), operand(workspace, 'lse', lse))
  return { output, lse: keepIf(wantsLse, lse) }
}

export function keepIf(wanted: boolean, tensor: OwnedTensor): OwnedTensor | undefined {
  if (!wanted) tensor.dispose()
  return wanted ? tensor : undefined
}

/** Attention into existing memory; `lse` is contiguous float32. */
export function attentionInto(
  workspace: Workspace,
  { rows, matrices }: DeviceKernels,
  problem: AttentionProblem,
  output: Operand,
  lse: Operand,
): void {
  checkCaptures(workspace.operation, problem)
  if (problem.batch * problem.queryHeads * problem.queryLength === 0) return
  const { profile } = workspace
  const unit = matrices?.chooseMatrixUnit(profile, problem)
  if (matrices && unit) {
    fill(workspace, output, (access, target) =>
      matrices.runPrefillMatrix(workspace, problem, unit, { access, output: target }, lse.binding),
    )
    return
  }
  const tile = chooseTiling(profile, problem)
  if (tile) {
    fill(workspace, output, (access, target) => runPrefill(workspace, problem, tile, { access, output: target }, lse.binding))
    return
  }
  const bound = bindProblem(workspace, problem)
  const most = splitsFor(profile, problem)
  if (rows) {
    const splits = { most, counted: undefined }
    inSplits(workspace, problem, splits, output, lse, (part) => rows.runRows(workspace, problem, bound, splits, part))
    return
  }
  const counted = countedSplits(workspace, problem, bound, { most, groupsPerSplit: groupsPerSplit(profile, problem) })
  const splits = { most, counted }
  inSplits(workspace, problem, splits, output, lse, (part) => runDecode(workspace, problem, bound, splits, part))
}
