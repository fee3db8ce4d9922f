import {
  contiguousStrides,
  type AttentionProblem,
  type AttentionResult,
  type FloatDtype,
  type OwnedTensor,
} from '@qkv/core'
import { attentionRows, rowsPerGroup } from '../kernels/attention-rows.wgsl.ts'
import { prefill, prefillWorkgroupBytes, type PrefillTile } from '../kernels/prefill.wgsl.ts'
import type { DeviceProfile } from '../device-profile.ts'
import { hasVectors, strideParameters, type Operand } from '../operands.ts'
import type { Access } from '../snippets/elements.wgsl.ts'
import { expressionFunction, noCaptures, type Captures } from '../snippets/expression.wgsl.ts'
import { usesContext, type ProblemSpec } from '../snippets/problem.wgsl.ts'
import { unbounded } from '../snippets/visibility.wgsl.ts'
import { stridesLike } from '../storage.ts'
import { floatDtype, operand, scratchOperand, type Workspace } from '../workspace.ts'
import { packContext } from './context.ts'
import { mergeParts } from './merge.ts'
import { fill } from './output.ts'

/** A problem bound to the device: the spec its kernels are compiled from, and the values they are run with. */
export interface BoundProblem {
  readonly spec: ProblemSpec
  readonly captures: Captures
  readonly parameters: Readonly<Record<string, number>>
  readonly buffers: Readonly<Record<string, GPUBufferBinding>>
}

export function attentionShape({ batch, queryHeads, queryLength, valueDim }: AttentionProblem): number[] {
  return [batch, queryHeads, queryLength, valueDim]
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
  const rows = problem.batch * problem.queryHeads * problem.queryLength
  if (rows === 0) return
  const bound = bindProblem(workspace, problem)
  const tile = choosePrefillTile(workspace.profile, problem)
  if (tile !== undefined) {
    fill(workspace, output, (access, target) => runPrefill(workspace, problem, bound, tile, access, target, lse.binding))
    return
  }
  const splits = splitsFor(workspace, problem, rows)
  if (splits === 1) {
    fill(workspace, output, (access, target) => runRows(workspace, problem, bound, 1, access, target, 0, lse.binding))
    return
  }
  const shape = [splits, ...attentionShape(problem)]
  const parts = scratchOperand(workspace, shape, contiguousStrides(shape))
  const partsLse = scratchOperand(workspace, [splits, rows], [rows, 1])
  const first = { ...parts, shape: shape.slice(1), strides: parts.strides.slice(1) }
  const access: Access<FloatDtype> = { dtype: 'float32', vectors: hasVectors(first) }
  runRows(workspace, problem, bound, splits, access, first, rows * problem.valueDim, partsLse.binding)
  mergeParts(workspace, { parts: splits, rows, partial: parts.binding, partialLse: partsLse.binding }, output, lse)
}

/** The tile for a problem, or none where one invocation per row is better: on software, and for few rows. */
export function choosePrefillTile(profile: DeviceProfile, { queryLength, group, headDim, valueDim }: AttentionProblem): PrefillTile | undefined {
  if (profile.software || queryLength * group < 16) return undefined
  const wide: PrefillTile = Math.max(headDim, valueDim) <= 64
    ? { rowGroups: 16, columns: 8, depth: 64 }
    : { rowGroups: 8, columns: 16, depth: 64 }
  const small: PrefillTile = { rowGroups: 8, columns: 8, depth: 32 }
  return [wide, small].find((tile) => prefillWorkgroupBytes(tile) <= profile.workgroupBytes)
}

function runPrefill(
  { recorder, profile }: Workspace,
  problem: AttentionProblem,
  bound: BoundProblem,
  tile: PrefillTile,
  access: Access<FloatDtype>,
  output: Operand,
  lse: GPUBufferBinding,
): void {
  const tiles = Math.ceil((problem.queryLength * problem.group) / (4 * tile.rowGroups))
  const spec = { problem: bound.spec, output: access, tile, subgroups: profile.subgroupSize >= tile.columns }
  recorder.dispatch(prefill, spec, {
    parameters: { ...bound.parameters, ...strideParameters('output', output), tiles },
    buffers: { ...bound.buffers, output: output.binding, lse },
    groups: tiles * problem.batch * problem.keyHeads,
    work: attentionWork(problem),
  })
}

/** Few rows over many keys would leave most of the device idle: their keys are split and the parts merged. */
function splitsFor({ profile }: Workspace, { keyLength }: AttentionProblem, rows: number): number {
  return Math.max(1, Math.min(Math.floor(profile.invocations / rows), Math.ceil(keyLength / 128)))
}

function runRows(
  { recorder }: Workspace,
  problem: AttentionProblem,
  bound: BoundProblem,
  splits: number,
  access: Access<FloatDtype>,
  output: Operand,
  splitStride: number,
  lse: GPUBufferBinding,
): void {
  const rows = problem.batch * problem.queryHeads * problem.queryLength
  recorder.dispatch(attentionRows, { problem: bound.spec, output: access }, {
    parameters: {
      ...bound.parameters,
      splits,
      keysPerSplit: Math.ceil(problem.keyLength / splits),
      ...strideParameters('output', output),
      outputSplitStride: splitStride,
    },
    buffers: { ...bound.buffers, output: output.binding, lse },
    groups: Math.ceil((rows * splits) / rowsPerGroup),
    work: attentionWork(problem),
  })
}

/** Multiply-adds of all pairs, visible or not. */
export function attentionWork({ batch, queryHeads, queryLength, keyLength, headDim, valueDim }: AttentionProblem): number {
  return batch * queryHeads * queryLength * keyLength * (headDim + valueDim + 8)
}

export function bindProblem(workspace: Workspace, problem: AttentionProblem): BoundProblem {
  const query = operand(workspace, 'query', problem.query)
  const key = operand(workspace, 'key', problem.key)
  const value = operand(workspace, 'value', problem.value)
  const bias = problem.bias && operand(workspace, 'bias', problem.bias)
  const captures = noCaptures()
  const scoreCode = problem.scoreMod && expressionFunction('changeScore', problem.scoreMod.node, captures)
  const maskCode = problem.maskMod && expressionFunction('mayAttend', problem.maskMod.node, captures)
  const spec: ProblemSpec = {
    headDim: problem.headDim,
    valueDim: problem.valueDim,
    query: accessOf(query),
    key: accessOf(key),
    value: accessOf(value),
    bias: bias && floatDtype(bias.dtype),
    softcap: problem.softcap > 0,
    sinks: problem.sinks !== undefined,
    lengths: problem.lengths !== undefined,
    mask: problem.mask !== undefined,
    scoreCode,
    maskCode,
    captureRanks: captures.tensors.map(({ shape }) => shape.length),
    scalarTypes: captures.scalarTypes,
  }
  const context = usesContext(spec) ? packContext(workspace, problem, captures) : undefined
  return {
    spec,
    captures,
    parameters: {
      batch: problem.batch,
      queryHeads: problem.queryHeads,
      keyHeads: problem.keyHeads,
      group: problem.group,
      scale: problem.scale,
      softcap: problem.softcap,
      queryLength: problem.queryLength,
      keyLength: problem.keyLength,
      left: Math.min(problem.window.left, unbounded),
      right: Math.min(problem.causal ? 0 : problem.window.right, problem.window.right, unbounded),
      lowerRight: problem.alignment === 'lower-right' ? 1 : 0,
      ...strideParameters('query', query),
      ...strideParameters('key', key),
      ...strideParameters('value', value),
      ...(bias ? strideParameters('bias', bias) : {}),
      ...Object.fromEntries(captures.scalars.map((scalar, index) => [`scalar${index}`, scalar.value])),
      ...context?.parameters,
    },
    buffers: {
      query: query.binding,
      key: key.binding,
      value: value.binding,
      ...(bias ? { bias: bias.binding } : {}),
      ...(context ? { context: context.binding } : {}),
    },
  }
}

export function accessOf(view: Operand): Access<FloatDtype> {
  return { dtype: floatDtype(view.dtype), vectors: hasVectors(view) }
}

