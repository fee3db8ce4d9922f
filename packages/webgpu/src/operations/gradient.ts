import {
  elementCount,
  type AttentionGradient,
  type AttentionProblem,
  type HostTensor,
  type OwnedTensor,
  type Partial,
  type Tensor,
} from '@qkv/core'
import { checkCaptures, differentiate, type ScoreDerivative } from '@qkv/core/expression'
import type { Job } from '../commands.ts'
import { refusal } from '../errors.ts'
import { invocationsPerGroup } from '../kernel.ts'
import {
  gradientBias,
  gradientCapturedRows,
  gradientDelta,
  gradientKeyValueRows,
  gradientKeyValue,
  gradientQueryRows,
  gradientQuery,
  gradientSinks,
  sumCopies,
} from '../kernels/lazy.ts'
import type { Tiling } from '../snippets/tiling.ts'
import { strideParameters } from '../operands.ts'
import { expressionFunction, readElementFunction } from '../snippets/expression.wgsl.ts'
import type { GradientSpec } from '../snippets/gradient.wgsl.ts'
import { operand, type Workspace } from '../workspace.ts'
import { accessOf, attentionShape, attentionWork, bindProblem, type BoundProblem } from './bind-problem.ts'
import { expectShape } from './checks.ts'
import { contiguous } from './copy.ts'
import { chooseGradientTiling, noBlockMap, walkTiles, type TileWalk } from './tilings.ts'

/** Everything a gradient kernel is run with, but its groups and its output. */
interface GradientRun {
  readonly spec: GradientSpec
  /** Where the score expression reads each captured float tensor. */
  readonly captured: readonly CapturedReads[]
  readonly bound: BoundProblem
  readonly job: Pick<Job, 'parameters' | 'buffers'>
  readonly work: number
}

interface CapturedReads {
  readonly tensor: HostTensor
  readonly reads: ScoreDerivative['captures']
}

export function attentionGradient(
  workspace: Workspace,
  problem: AttentionProblem,
  forward: Partial,
  dOutput: Tensor,
): AttentionGradient {
  check(workspace, problem, forward, dOutput)
  const tile = chooseGradientTiling(workspace.profile, problem)
  const walk = tile && walkTiles(problem, tile.patch * tile.rowGroups, tile.patch * tile.columns)
  const run = prepare(workspace, problem, forward, dOutput, walk)
  const [dKey, dValue] = keyValueGradient(workspace, problem, run, tile)
  return {
    dQuery: queryGradient(workspace, problem, run, tile, walk),
    dKey,
    dValue,
    dBias: problem.bias && biasGradient(workspace, problem, problem.bias, run),
    dSinks: problem.sinks && sinksGradient(workspace, problem, run),
    captured: new Map(run.captured.map(({ tensor, reads }) => [tensor, capturedGradient(workspace, problem, run, tensor, reads)])),
  }
}

function queryGradient(
  workspace: Workspace,
  { batch, queryHeads, queryLength, headDim }: AttentionProblem,
  run: GradientRun,
  tile: Tiling | undefined,
  walk: TileWalk | undefined,
): OwnedTensor {
  const dQuery = workspace.allocate([batch, queryHeads, queryLength, headDim], 'float32')
  const buffers = { ...run.job.buffers, dQuery: operand(workspace, 'dQuery', dQuery).binding }
  if (tile && walk) {
    workspace.recorder.dispatch(
      gradientQuery,
      { ...run.spec, tile, blockMap: walk.map !== undefined },
      {
        parameters: { ...noBlockMap, ...run.job.parameters, ...walk.parameters },
        buffers,
        groups: walk.groups,
        work: run.work,
      },
    )
  } else {
    const groups = Math.ceil((batch * queryHeads * queryLength) / invocationsPerGroup)
    workspace.recorder.dispatch(gradientQueryRows, run.spec, { parameters: run.job.parameters, buffers, groups, work: run.work })
  }
  return dQuery
}

function keyValueGradient(
  workspace: Workspace,
  { batch, keyHeads, keyLength, headDim, valueDim }: AttentionProblem,
  run: GradientRun,
  tile: Tiling | undefined,
): [OwnedTensor, OwnedTensor] {
  const pair = workspace.allocatePair([batch, keyHeads, keyLength, headDim], [batch, keyHeads, keyLength, valueDim])
  const [dKey, dValue] = pair
  const { binding, offset } = operand(workspace, 'dKey', dKey)
  const parameters = { ...run.job.parameters, dKeyOffset: offset, dValueOffset: dValue.offset }
  const buffers = { ...run.job.buffers, gradients: binding }
  if (tile) {
    const tiles = Math.ceil(keyLength / (tile.patch * tile.rowGroups))
    workspace.recorder.dispatch(
      gradientKeyValue,
      { ...run.spec, tile },
      {
        parameters: { ...parameters, tiles },
        buffers,
        groups: tiles * batch * keyHeads,
        work: 1.5 * run.work,
      },
    )
  } else {
    const groups = Math.ceil((batch * keyHeads * keyLength) / invocationsPerGroup)
    workspace.recorder.dispatch(gradientKeyValueRows, run.spec, { parameters, buffers, groups, work: 1.5 * run.work })
  }
  return pair
}

function prepare(
  workspace: Workspace,
  problem: AttentionProblem,
  forward: Partial,
  dOutput: Tensor,
  walk: TileWalk | undefined,
): GradientRun {
  const bound = bindProblem(workspace, problem, walk?.map)
  const derivative = problem.scoreMod && differentiate(problem.scoreMod)
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
        rows,
        heads: problem.queryHeads,
        queryLength: problem.queryLength,
        lseOffset: lse.offset,
        ...strideParameters('output', output),
        ...strideParameters('dOutput', dOut),
      },
      buffers: { output: output.binding, dOutput: dOut.binding, lse: lse.binding, rowStatistics },
      groups: Math.ceil(rows / invocationsPerGroup),
      work: rows * problem.valueDim,
    },
  )
  return {
    spec: {
      problem: bound.spec,
      dOutput: accessOf(dOut),
      slopeCode: derivative && expressionFunction('scoreSlope', derivative.score, bound.captures),
    },
    captured: derivative ? byTensor(derivative) : [],
    bound,
    job: {
      parameters: { ...bound.parameters, ...strideParameters('dOutput', dOut) },
      buffers: { ...bound.buffers, dOutput: dOut.binding, rowStatistics },
    },
    work: 1.5 * attentionWork(problem),
  }
}

function byTensor({ captures }: ScoreDerivative): CapturedReads[] {
  const tensors = [...new Set(captures.map(({ read }) => read.tensor))]
  return tensors.map((tensor) => ({ tensor, reads: captures.filter(({ read }) => read.tensor === tensor) }))
}

/** Copies of the gradient that together take a few megabytes at most. */
function capturedGradient(
  workspace: Workspace,
  problem: AttentionProblem,
  run: GradientRun,
  tensor: HostTensor,
  reads: CapturedReads['reads'],
): OwnedTensor {
  const { captures } = run.bound
  const elements = elementCount(tensor.shape)
  const rows = problem.batch * problem.queryHeads * problem.queryLength
  const copies = Math.max(1, Math.min(rows, 1024, Math.floor(2 ** 20 / Math.max(1, elements))))
  const partial = { buffer: workspace.recorder.scratch(Math.max(16, 4 * copies * elements)) }
  const readsCode = reads
    .flatMap(({ read, derivative }, index) => [
      readElementFunction(`readElement${index}`, read, captures),
      expressionFunction(`readDerivative${index}`, derivative, captures),
    ])
    .join('\n')
  workspace.recorder.dispatch(
    gradientCapturedRows,
    { ...run.spec, readsCode, reads: reads.length },
    {
      parameters: { ...run.job.parameters, copies, elements },
      buffers: { ...run.job.buffers, partial },
      groups: Math.ceil(copies / invocationsPerGroup),
      work: run.work,
    },
  )
  const gradient = workspace.allocate(tensor.shape, 'float32')
  workspace.recorder.dispatch(
    sumCopies,
    {},
    {
      parameters: { copies, elements },
      buffers: { partial, output: operand(workspace, 'captured', gradient).binding },
      groups: Math.ceil(elements / invocationsPerGroup),
      work: copies * elements,
    },
  )
  return gradient
}

function biasGradient(workspace: Workspace, problem: AttentionProblem, bias: Tensor, run: GradientRun): OwnedTensor {
  const own = bias.strides.map((stride) => (stride === 0 ? 0 : 1))
  const shape = bias.shape.map((size, axis) => (own[axis] === 1 ? size : 1))
  const dBias = workspace.allocate(shape, 'float32')
  const count = elementCount(shape)
  workspace.recorder.dispatch(gradientBias, run.spec, {
    parameters: { ...run.job.parameters, ...Object.fromEntries(own.map((has, axis) => [`own${axis}`, has])), count },
    buffers: { ...run.job.buffers, dBias: operand(workspace, 'dBias', dBias).binding },
    groups: Math.ceil(count / invocationsPerGroup),
    work: attentionWork(problem),
  })
  return dBias
}

function sinksGradient(workspace: Workspace, problem: AttentionProblem, { bound, job }: GradientRun): OwnedTensor {
  const dSinks = workspace.allocate([problem.queryHeads], 'float32')
  const { context, rowStatistics } = job.buffers
  if (context === undefined || rowStatistics === undefined) throw new TypeError('a problem with sinks has a context')
  workspace.recorder.dispatch(
    gradientSinks,
    {},
    {
      parameters: bound.parameters,
      buffers: { context, rowStatistics, dSinks: operand(workspace, 'dSinks', dSinks).binding },
      groups: problem.queryHeads,
      work: problem.batch * problem.queryHeads * problem.queryLength,
    },
  )
  return dSinks
}

function check(workspace: Workspace, problem: AttentionProblem, { output, lse }: Partial, dOutput: Tensor): void {
  checkCaptures(workspace.operation, problem)
  if (problem.keyScales) {
    const expected = 'of a float dtype, as quantised keys have no gradient'
    throw refusal(workspace, 'DTYPE_UNSUPPORTED', 'key', expected, problem.key.dtype)
  }
  const shape = attentionShape(problem)
  for (const [argument, view, expected] of [
    ['forward.output', output, shape],
    ['forward.lse', lse, shape.slice(0, 3)],
    ['dOutput', dOutput, shape],
  ] as const) {
    expectShape(workspace, argument, view, String(view.shape) === String(expected), `[${String(expected)}]`)
  }
}
