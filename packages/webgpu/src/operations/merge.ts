import { stridesLike, contiguousStrides, type AttentionResult, type Partial } from '@qkv/core'
import { refusal } from '../errors.ts'
import { invocationsPerGroup } from '../kernel.ts'
import { merge } from '../kernels/merge.wgsl.ts'
import { strideParameters, type Operand } from '../operands.ts'
import { operand, scratchOperand, type Workspace } from '../workspace.ts'
import { copyElements } from './copy.ts'
import { fill } from './output.ts'

/** How many parts there are, where the device has counted them. */
export interface CountedParts {
  readonly context: GPUBufferBinding
  /** Which word of it says so. */
  readonly at: number
}

/** Parts one after another, float32: outputs `[parts, rows, valueDim]`, lse `[parts, rows]`. */
export interface Parts {
  /** All of them, unless they are `counted` on the device. */
  readonly parts: number
  readonly counted?: CountedParts | undefined
  readonly rows: number
  readonly partial: GPUBufferBinding
  readonly partialLse: GPUBufferBinding
}

export function mergeParts(
  workspace: Workspace,
  { parts, counted, rows, partial, partialLse }: Parts,
  output: Operand,
  lse: Operand,
): void {
  const [, heads = 1, queryLength = 1, valueDim = 1] = output.shape
  fill(workspace, output, (access, target) => {
    workspace.recorder.dispatch(
      merge,
      { valueDim, output: access, counted: counted !== undefined },
      {
        parameters: { parts, partsAt: counted?.at ?? 0, rows, heads, queryLength, ...strideParameters('output', target) },
        buffers: { partial, partialLse, output: target.binding, lse: lse.binding, ...(counted && { counts: counted.context }) },
        groups: Math.ceil((rows * Math.max(1, Math.ceil(valueDim / 4))) / invocationsPerGroup),
        work: parts * rows * valueDim,
      },
    )
  })
}

/** The whole from its parts, which are gathered in one place first. */
export function mergePartials(workspace: Workspace, partials: readonly Partial[]): AttentionResult {
  const first = partials[0]
  if (first === undefined) throw refusal(workspace, 'OPTION_INVALID', 'partials', 'one or more', 'none')
  const shape = first.output.shape
  checkShapes(workspace, shape, partials)
  const [batch = 0, heads = 0, queryLength = 0, valueDim = 0] = shape
  const rows = batch * heads * queryLength
  const output = workspace.allocate(shape, first.output.dtype, stridesLike(shape, first.output))
  const lse = workspace.allocate(shape.slice(0, 3), 'float32')
  const partial = scratchOperand(workspace, [partials.length, rows, valueDim])
  const partialLse = scratchOperand(workspace, [partials.length, rows])
  partials.forEach((part, index) => {
    const outputTarget = { ...partial, shape, strides: contiguousStrides(shape), offset: index * rows * valueDim }
    const lseShape = shape.slice(0, 3)
    const lseTarget = { ...partialLse, shape: lseShape, strides: contiguousStrides(lseShape), offset: index * rows }
    copyElements(workspace, operand(workspace, `partials[${index}].output`, part.output), outputTarget)
    copyElements(workspace, operand(workspace, `partials[${index}].lse`, part.lse), lseTarget)
  })
  mergeParts(
    workspace,
    { parts: partials.length, rows, partial: partial.binding, partialLse: partialLse.binding },
    operand(workspace, 'output', output),
    operand(workspace, 'lse', lse),
  )
  return { output, lse }
}

function checkShapes(workspace: Workspace, shape: readonly number[], partials: readonly Partial[]): void {
  partials.forEach(({ output, lse }, index) => {
    const same = shape.length === 4 && String(output.shape) === String(shape) && String(lse.shape) === String(shape.slice(0, 3))
    if (same && lse.dtype === 'float32') return
    const expected = `an output [${String(shape)}] and a float32 lse [${String(shape.slice(0, 3))}]`
    const received = `[${String(output.shape)}] and ${lse.dtype} [${String(lse.shape)}]`
    throw refusal(workspace, 'SHAPE_MISMATCH', `partials[${index}]`, expected, received)
  })
}
