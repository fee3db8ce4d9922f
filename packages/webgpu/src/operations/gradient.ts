import { QkvError, type AttentionGradient, type AttentionProblem, type HostTensor, type OwnedTensor, type Partial, type Tensor } from '@qkv/core'
import { gradientBias, gradientBiasGroupSize } from '../kernels/gradient-bias.wgsl.ts'
import { deltaGroupSize, gradientDelta } from '../kernels/gradient-delta.wgsl.ts'
import { gradientKeyValueRows } from '../kernels/gradient-key-value-rows.wgsl.ts'
import { gradientQueryRows, gradientRowsPerGroup } from '../kernels/gradient-query-rows.wgsl.ts'
import { gradientSinks } from '../kernels/gradient-sinks.wgsl.ts'
import type { Job } from '../commands.ts'
import { strideParameters } from '../operands.ts'
import type { GradientSpec } from '../snippets/gradient.wgsl.ts'
import { operand, type Workspace } from '../workspace.ts'
import { accessOf, attentionShape, attentionWork, bindProblem, type BoundProblem } from './attention.ts'
import { contiguous } from './elementwise.ts'

/** Everything a gradient kernel is run with, but its groups and its output. */
interface GradientRun {
  readonly spec: GradientSpec
  readonly bound: BoundProblem
  readonly job: Pick<Job, 'parameters' | 'buffers'>
  readonly work: number
}

export function attentionGradient(
  workspace: Workspace,
  problem: AttentionProblem,
  forward: Partial,
  dOutput: Tensor,
): AttentionGradient {
  checkShapes(problem, forward, dOutput)
  const run = prepare(workspace, problem, forward, dOutput)
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim } = problem
  const { recorder } = workspace

  const dQuery = workspace.allocate([batch, queryHeads, queryLength, headDim], 'float32')
  recorder.dispatch(gradientQueryRows, run.spec, {
    parameters: run.job.parameters,
    buffers: { ...run.job.buffers, dQuery: operand(workspace, 'dQuery', dQuery).binding },
    groups: Math.ceil((batch * queryHeads * queryLength) / gradientRowsPerGroup),
    work: run.work,
  })

  const [dKey, dValue] = workspace.allocatePair(
    [batch, keyHeads, keyLength, headDim],
    [batch, keyHeads, keyLength, valueDim],
  )
  const dKeyOperand = operand(workspace, 'dKey', dKey)
  recorder.dispatch(gradientKeyValueRows, run.spec, {
    parameters: { ...run.job.parameters, dKeyOffset: dKeyOperand.offset, dValueOffset: dValue.offset },
    buffers: { ...run.job.buffers, gradients: dKeyOperand.binding },
    groups: Math.ceil((batch * keyHeads * keyLength) / gradientRowsPerGroup),
    work: 1.5 * run.work,
  })

  return {
    dQuery,
    dKey,
    dValue,
    dBias: problem.bias && biasGradient(workspace, problem, problem.bias, run),
    dSinks: problem.sinks && sinksGradient(workspace, problem, run),
    captured: new Map<HostTensor, OwnedTensor>(),
  }
}

function prepare(workspace: Workspace, problem: AttentionProblem, forward: Partial, dOutput: Tensor): GradientRun {
  const bound = bindProblem(workspace, problem)
  const output = operand(workspace, 'forward.output', forward.output)
  const lse = contiguous(workspace, operand(workspace, 'forward.lse', forward.lse))
  const dOut = operand(workspace, 'dOutput', dOutput)
  const rows = problem.batch * problem.queryHeads * problem.queryLength
  const rowStatistics = { buffer: workspace.recorder.scratch(Math.max(16, 8 * rows)) }
  workspace.recorder.dispatch(
    gradientDelta,
    { valueDim: problem.valueDim, output: accessOf(output), dOutput: accessOf(dOut) },
    {
      parameters: {
        rows, heads: problem.queryHeads, queryLength: problem.queryLength, lseOffset: lse.offset,
        ...strideParameters('output', output), ...strideParameters('dOutput', dOut),
      },
      buffers: { output: output.binding, dOutput: dOut.binding, lse: lse.binding, rowStatistics },
      groups: Math.ceil(rows / deltaGroupSize),
      work: rows * problem.valueDim,
    },
  )
  return {
    spec: { problem: bound.spec, dOutput: accessOf(dOut), slopeCode: undefined },
    bound,
    job: {
      parameters: { ...bound.parameters, ...strideParameters('dOutput', dOut) },
      buffers: { ...bound.buffers, dOutput: dOut.binding, rowStatistics },
    },
    work: 1.5 * attentionWork(problem),
  }
}

function biasGradient(workspace: Workspace, problem: AttentionProblem, bias: Tensor, run: GradientRun): OwnedTensor {
  const own = bias.strides.map((stride) => (stride === 0 ? 0 : 1))
  const shape = bias.shape.map((size, axis) => (own[axis] === 1 ? size : 1))
  const dBias = workspace.allocate(shape, 'float32')
  const count = shape.reduce((product, size) => product * size, 1)
  workspace.recorder.dispatch(gradientBias, run.spec, {
    parameters: { ...run.job.parameters, ...Object.fromEntries(own.map((has, axis) => [`own${axis}`, has])), count },
    buffers: { ...run.job.buffers, dBias: operand(workspace, 'dBias', dBias).binding },
    groups: Math.ceil(count / gradientBiasGroupSize),
    work: attentionWork(problem),
  })
  return dBias
}

function sinksGradient(workspace: Workspace, problem: AttentionProblem, { bound, job }: GradientRun): OwnedTensor {
  const dSinks = workspace.allocate([problem.queryHeads], 'float32')
  const { context, rowStatistics } = job.buffers
  if (context === undefined || rowStatistics === undefined) throw new TypeError('a problem with sinks has a context')
  workspace.recorder.dispatch(gradientSinks, {}, {
    parameters: bound.parameters,
    buffers: { context, rowStatistics, dSinks: operand(workspace, 'dSinks', dSinks).binding },
    groups: problem.queryHeads,
    work: problem.batch * problem.queryHeads * problem.queryLength,
  })
  return dSinks
}

function checkShapes(problem: AttentionProblem, { output, lse }: Partial, dOutput: Tensor): void {
  const shape = attentionShape(problem)
  for (const [argument, view, expected] of [
    ['forward.output', output, shape],
    ['forward.lse', lse, shape.slice(0, 3)],
    ['dOutput', dOutput, shape],
  ] as const) {
    if (String(view.shape) === String(expected)) continue
    throw new QkvError({
      code: 'SHAPE_MISMATCH', operation: 'attentionGradient', argument,
      expected: `[${String(expected)}]`, received: `[${String(view.shape)}]`,
    })
  }
}
