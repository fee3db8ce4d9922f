import { dropoutThreshold, type AttentionProblem, type Dropout, type FloatDtype } from '@qkv/core'
import type { BlockMap } from '@qkv/core/block-map'
import { hasVectors, strideParameters, type Operand } from '../operands.ts'
import type { Access } from '../snippets/elements.wgsl.ts'
import { expressionFunction, noCaptures, type Captures } from '../snippets/expression.wgsl.ts'
import { usesContext, type KeyAccess, type ProblemSpec } from '../snippets/problem.wgsl.ts'
import { unbounded } from '../snippets/visibility.wgsl.ts'
import { floatDtype, operand, type Workspace } from '../workspace.ts'
import { packContext } from './context.ts'

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
