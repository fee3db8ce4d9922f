import type { AttentionProblem } from '@qkv/core'
import type { DeviceProfile } from '../device-profile.ts'
import { keysPerSplit } from '../kernels/count-splits.wgsl.ts'
import { decode, decodeGroupSize, type DecodeSpec } from '../kernels/decode.wgsl.ts'
import { strideParameters } from '../operands.ts'
import type { Workspace } from '../workspace.ts'
import { attentionWork, type BoundProblem } from './bind-problem.ts'
import type { SplitTarget, Splits } from './splits.ts'

/** As many splits as keep the device busy, none of too few keys. */
export function splitsFor(profile: DeviceProfile, problem: AttentionProblem): number {
  const { batch, queryHeads, queryLength, keyLength } = problem
  const invocations = profile.software ? batch * queryHeads * queryLength : groupsPerSplit(profile, problem) * decodeGroupSize
  return Math.max(1, Math.min(Math.floor(profile.invocations / invocations), Math.ceil(keyLength / keysPerSplit)))
}

/** How a workgroup shares keys and rows, so that each invocation's vectors fit its registers. */
export function decodeShape(
  profile: DeviceProfile,
  { headDim, valueDim, queryLength, group }: AttentionProblem,
): Pick<DecodeSpec, 'rows' | 'lanes' | 'subgroups'> {
  const chunks = Math.ceil(Math.max(headDim, valueDim) / 4)
  const wanted = chunks <= 8 ? 4 : chunks <= 16 ? 8 : 16
  const subgroups = profile.subgroupSize >= 4
  const lanes = subgroups && profile.subgroupSize < wanted ? (profile.subgroupSize >= 8 ? 8 : 4) : wanted
  const fitting = ([8, 4, 2, 1] as const).find((rows) => rows * Math.ceil(chunks / lanes) <= 16) ?? 1
  const needed = ([1, 2, 4, 8] as const).find((rows) => rows >= queryLength * group) ?? 8
  return { rows: needed < fitting ? needed : fitting, lanes, subgroups }
}

/** Workgroups that share out the rows of a problem. */
export function groupsPerSplit(profile: DeviceProfile, problem: AttentionProblem): number {
  const { batch, keyHeads, queryLength, group } = problem
  return batch * keyHeads * Math.ceil((queryLength * group) / decodeShape(profile, problem).rows)
}

export function runDecode(
  { recorder, profile }: Workspace,
  problem: AttentionProblem,
  bound: BoundProblem,
  { most, counted }: Splits,
  { access, output, splitStride, lse }: SplitTarget,
): void {
  recorder.dispatch(
    decode,
    { problem: bound.spec, output: access, ...decodeShape(profile, problem), counted: counted !== undefined },
    {
      parameters: { ...bound.parameters, splits: most, ...strideParameters('output', output), outputSplitStride: splitStride },
      buffers: { ...bound.buffers, output: output.binding, lse },
      groups: groupsPerSplit(profile, problem) * most,
      countedGroups: counted?.groups,
      work: attentionWork(problem),
    },
  )
}
