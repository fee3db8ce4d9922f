import type { AttentionProblem } from '@qkv/core'
import { prefill } from '../kernels/prefill.wgsl.ts'
import { strideParameters } from '../operands.ts'
import type { Tiling } from '../snippets/tiling.ts'
import type { Workspace } from '../workspace.ts'
import { attentionWork, bindProblem } from './bind-problem.ts'
import type { OutputTarget } from './output.ts'
import { noBlockMap, walkTiles } from './tilings.ts'

export function runPrefill(
  workspace: Workspace,
  problem: AttentionProblem,
  tile: Tiling,
  { access, output }: OutputTarget,
  lse: GPUBufferBinding,
): void {
  const { recorder, profile } = workspace
  const walk = walkTiles(problem, tile.patch * tile.rowGroups, tile.patch * tile.columns)
  const bound = bindProblem(workspace, problem, walk.map)
  const spec = {
    problem: bound.spec,
    output: access,
    tile,
    subgroups: profile.subgroupSize >= tile.columns,
    blockMap: walk.map !== undefined,
  }
  recorder.dispatch(prefill, spec, {
    parameters: { ...noBlockMap, ...bound.parameters, ...strideParameters('output', output), ...walk.parameters },
    buffers: { ...bound.buffers, output: output.binding, lse },
    groups: walk.groups,
    work: attentionWork(problem),
  })
}
