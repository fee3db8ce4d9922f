import type { AttentionProblem } from '@qkv/core'
import type { DeviceProfile } from '../device-profile.ts'
import { matrixBytes, matrixTile, type MatrixUnit } from '../kernels/matrix-unit.ts'
import { prefillMatrix } from '../kernels/prefill-matrix.wgsl.ts'
import { strideParameters } from '../operands.ts'
import type { Workspace } from '../workspace.ts'
import { attentionWork, bindProblem } from './bind-problem.ts'
import type { OutputTarget } from './output.ts'
import { noBlockMap, walkTiles } from './tilings.ts'

/** The matrix units for a problem, if the profile asks for some that lose nothing of its tensors. */
export function chooseMatrixUnit(
  { software, matrixUnit, workgroupBytes }: DeviceProfile,
  { query, key, value, queryLength, group, headDim, valueDim }: AttentionProblem,
): MatrixUnit | undefined {
  if (software || matrixUnit === undefined || queryLength * group < 16) return undefined
  const { m, n, k, component } = matrixUnit
  const dtype = component === 'f16' ? 'float16' : 'float32'
  const holds = [query, key, value].every((view) => view.dtype === dtype)
  const whole =
    headDim % k === 0 && valueDim % n === 0 && matrixTile.rows % m === 0 && [n, k].every((size) => matrixTile.keys % size === 0)
  return holds && whole && matrixBytes(matrixUnit, headDim, valueDim) <= workgroupBytes ? matrixUnit : undefined
}

export function runPrefillMatrix(
  workspace: Workspace,
  problem: AttentionProblem,
  unit: MatrixUnit,
  { access, output }: OutputTarget,
  lse: GPUBufferBinding,
): void {
  const { groups, parameters } = walkTiles(problem, matrixTile.rows)
  const bound = bindProblem(workspace, problem)
  workspace.recorder.dispatch(
    prefillMatrix,
    { problem: bound.spec, output: access, unit },
    {
      parameters: { ...noBlockMap, ...bound.parameters, ...strideParameters('output', output), ...parameters },
      buffers: { ...bound.buffers, output: output.binding, lse },
      groups,
      work: attentionWork(problem),
    },
  )
}
