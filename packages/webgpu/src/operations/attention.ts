import {
  contiguousStrides,
  dropoutThreshold,
  isHostTensor,
  problemBlockMap,
  type AttentionProblem,
  type BlockMap,
  type Dropout,
  type AttentionResult,
  type FloatDtype,
  type OwnedTensor,
} from '@qkv/core'
import { attentionRows, rowsPerGroup } from '../kernels/attention-rows.wgsl.ts'
import { decode, decodeGroupSize, type DecodeSpec } from '../kernels/decode.wgsl.ts'
import { prefill, prefillWorkgroupBytes, type PrefillTile } from '../kernels/prefill.wgsl.ts'
import type { DeviceProfile } from '../device-profile.ts'
import { hasVectors, strideParameters, type Operand } from '../operands.ts'
import type { Access } from '../snippets/elements.wgsl.ts'
import { expressionFunction, noCaptures, type Captures } from '../snippets/expression.wgsl.ts'
import { usesContext, type KeyAccess, type ProblemSpec } from '../snippets/problem.wgsl.ts'
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
  if (problem.batch * problem.queryHeads * problem.queryLength === 0) return
  const tile = choosePrefillTile(workspace.profile, problem)
  if (tile !== undefined) {
    fill(workspace, output, (access, target) => runPrefill(workspace, problem, tile, access, target, lse.binding))
    return
  }
  const bound = bindProblem(workspace, problem)
  inSplits(workspace, problem, splitsFor(workspace.profile, problem), output, lse, (splits, part) => {
    if (workspace.profile.software) runRows(workspace, problem, bound, splits, part)
    else runDecode(workspace, problem, bound, splits, part)
  })
}

/** Where a kernel that takes a share of the keys puts its results: of all keys in place, or of each split in turn. */
interface SplitTarget {
  readonly access: Access<FloatDtype>
  readonly output: Operand
  readonly splitStride: number
  readonly lse: GPUBufferBinding
}

/** Few rows over many keys would leave most of the device idle: their keys are split and the parts merged. */
function inSplits(
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
  const parts = scratchOperand(workspace, shape, contiguousStrides(shape))
  const partsLse = scratchOperand(workspace, [splits, rows], [rows, 1])
  const first = { ...parts, shape: shape.slice(1), strides: parts.strides.slice(1) }
  const access: Access<FloatDtype> = { dtype: 'float32', vectors: hasVectors(first) }
  run(splits, { access, output: first, splitStride: rows * problem.valueDim, lse: partsLse.binding })
  mergeParts(workspace, { parts: splits, rows, partial: parts.binding, partialLse: partsLse.binding }, output, lse)
}

/** As many splits as keep the device busy, each of 128 keys or more. */
function splitsFor(profile: DeviceProfile, problem: AttentionProblem): number {
  const { batch, keyHeads, queryHeads, queryLength, keyLength, group } = problem
  const { rows } = decodeShape(profile, problem)
  const invocations = profile.software
    ? batch * queryHeads * queryLength
    : batch * keyHeads * Math.ceil((queryLength * group) / rows) * decodeGroupSize
  return Math.max(1, Math.min(Math.floor(profile.invocations / invocations), Math.ceil(keyLength / 128)))
}

/** How a workgroup shares keys and rows, so that each invocation's vectors fit its registers. */
export function decodeShape(profile: DeviceProfile, { headDim, valueDim, queryLength, group }: AttentionProblem): Pick<DecodeSpec, 'rows' | 'lanes' | 'subgroups'> {
  const chunks = Math.ceil(Math.max(headDim, valueDim) / 4)
  const wanted = chunks <= 8 ? 4 : chunks <= 16 ? 8 : 16
  const subgroups = profile.subgroupSize >= 4
  const lanes = subgroups && profile.subgroupSize < wanted ? (profile.subgroupSize >= 8 ? 8 : 4) : wanted
  const fitting = ([8, 4, 2, 1] as const).find((rows) => rows * Math.ceil(chunks / lanes) <= 16) ?? 1
  const needed = ([1, 2, 4, 8] as const).find((rows) => rows >= queryLength * group) ?? 8
  return { rows: needed < fitting ? needed : fitting, lanes, subgroups }
}

function runDecode(
  { recorder, profile }: Workspace,
  problem: AttentionProblem,
  bound: BoundProblem,
  splits: number,
  { access, output, splitStride, lse }: SplitTarget,
): void {
  const shape = decodeShape(profile, problem)
  const { batch, keyHeads, queryLength, group } = problem
  recorder.dispatch(decode, { problem: bound.spec, output: access, ...shape }, {
    parameters: { ...bound.parameters, splits, ...strideParameters('output', output), outputSplitStride: splitStride },
    buffers: { ...bound.buffers, output: output.binding, lse },
    groups: batch * keyHeads * Math.ceil((queryLength * group) / shape.rows) * splits,
    work: attentionWork(problem),
  })
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
  workspace: Workspace,
  problem: AttentionProblem,
  tile: PrefillTile,
  access: Access<FloatDtype>,
  output: Operand,
  lse: GPUBufferBinding,
): void {
  const { recorder, profile } = workspace
  const { batch, queryHeads, queryLength, group } = problem
  const rows = 4 * tile.rowGroups
  const packed = queryLength < rows ? group : 1
  const map = packed === 1 ? tileMap(problem, rows, 4 * tile.columns) : undefined
  const bound = bindProblem(workspace, problem, map)
  const tiles = Math.ceil((queryLength * packed) / rows)
  const spec = {
    problem: bound.spec, output: access, tile, subgroups: profile.subgroupSize >= tile.columns, blockMap: map !== undefined,
  }
  recorder.dispatch(prefill, spec, {
    parameters: { ...noBlockMap, ...bound.parameters, ...strideParameters('output', output), tiles, packed },
    buffers: { ...bound.buffers, output: output.binding, lse },
    groups: tiles * batch * (queryHeads / packed),
    work: attentionWork(problem),
  })
}

const noBlockMap = { planesAt: 0, runOffsetsAt: 0, runsAt: 0 }

/** Which tiles a mask leaves, where the mask is known here; without a mask the kernel knows as much itself. */
function tileMap(problem: AttentionProblem, queries: number, keys: number): BlockMap | undefined {
  const { mask, maskMod, lengths, keyLength } = problem
  if ((mask === undefined && maskMod === undefined) || keyLength <= keys) return undefined
  if ((mask && !isHostTensor(mask)) || (lengths && !isHostTensor(lengths))) return undefined
  return problemBlockMap(problem, { queries, keys })
}

function runRows(
  { recorder }: Workspace,
  problem: AttentionProblem,
  bound: BoundProblem,
  splits: number,
  { access, output, splitStride, lse }: SplitTarget,
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

export function bindProblem(workspace: Workspace, problem: AttentionProblem, map?: BlockMap): BoundProblem {
  const query = operand(workspace, 'query', problem.query)
  const key = operand(workspace, 'key', problem.key)
  const value = operand(workspace, 'value', problem.value)
  const bias = problem.bias && !problem.keyScales ? operand(workspace, 'bias', problem.bias) : undefined
  const captures = noCaptures()
  const scoreCode = problem.scoreMod && expressionFunction('changeScore', problem.scoreMod.node, captures)
  const maskCode = problem.maskMod && expressionFunction('mayAttend', problem.maskMod.node, captures)
  const keyScales = problem.keyScales && operand(workspace, 'keyScales', problem.keyScales)
  const valueScales = problem.valueScales && operand(workspace, 'valueScales', problem.valueScales)
  const spec: ProblemSpec = {
    headDim: problem.headDim,
    valueDim: problem.valueDim,
    query: accessOf(query),
    key: keyAccess(key, keyScales),
    value: keyAccess(value, valueScales),
    bias: problem.bias && (bias ? floatDtype(bias.dtype) : 'context'),
    softcap: problem.softcap > 0,
    sinks: problem.sinks !== undefined,
    lengths: problem.lengths !== undefined,
    mask: problem.mask !== undefined,
    dropout: problem.dropout !== undefined,
    scoreCode,
    maskCode,
    captureRanks: captures.tensors.map(({ shape }) => shape.length),
    scalarTypes: captures.scalarTypes,
  }
  const context = usesContext(spec, map !== undefined) ? packContext(workspace, problem, captures, map) : undefined
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
      ...(keyScales ? strideParameters('keyScales', keyScales) : {}),
      ...(valueScales ? strideParameters('valueScales', valueScales) : {}),
      ...(problem.dropout ? dropoutParameters(problem.dropout) : {}),
      ...Object.fromEntries(captures.scalars.map((scalar, index) => [`scalar${index}`, scalar.value])),
      ...context?.parameters,
    },
    buffers: {
      query: query.binding,
      key: key.binding,
      value: value.binding,
      ...(keyScales ? { keyScales: keyScales.binding } : {}),
      ...(valueScales ? { valueScales: valueScales.binding } : {}),
      ...(bias ? { bias: bias.binding } : {}),
      ...(context ? { context: context.binding } : {}),
    },
  }
}

function dropoutParameters(dropout: Dropout): Record<string, number> {
  return {
    dropoutSeed: dropout.seed | 0,
    dropoutThreshold: dropoutThreshold(dropout) | 0,
    dropoutFactor: 1 / (1 - dropout.probability),
  }
}

/** How keys or values are reached; quantised ones with the scales that belong to them. */
function keyAccess(view: Operand, scales: Operand | undefined): KeyAccess {
  if (view.dtype !== 'int8' && view.dtype !== 'uint8') return accessOf(view)
  return { dtype: view.dtype, vectors: hasVectors(view, view.dtype === 'int8' ? 4 : 2), groups: scales?.shape[3] ?? 1 }
}

export function accessOf(view: Operand): Access<FloatDtype> {
  return { dtype: floatDtype(view.dtype), vectors: hasVectors(view) }
}

