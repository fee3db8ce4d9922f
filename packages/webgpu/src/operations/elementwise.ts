import { contiguousStrides, elementCount, type Activation, type Dtype, type OwnedTensor, type Tensor } from '@qkv/core'
import { invocationsPerGroup } from '../kernel.ts'
import { elementwise, type ElementwiseSpec } from '../kernels/elementwise.wgsl.ts'
import { strideParameters, type Operand } from '../operands.ts'
import { elementsPerWord } from '../snippets/bits.wgsl.ts'
import { operand, type Workspace } from '../workspace.ts'
import { broadcastOperand, expectFloats, expectOption } from './checks.ts'

const activations: readonly Activation[] = ['silu', 'gelu', 'gelu-tanh', 'relu']
const elementwiseOperations: readonly ElementwiseSpec['operation'][] = ['copy', 'add', 'multiply', ...activations]

/** A new contiguous tensor f(left, right), of the left's shape and dtype; `right` broadcasts to `left`. */
export function mapElements(
  workspace: Workspace,
  operation: ElementwiseSpec['operation'],
  left: Tensor,
  right?: Tensor,
): OwnedTensor {
  expectFloats(workspace, right === undefined ? 'input' : 'left', left)
  expectOption(workspace, 'activation', elementwiseOperations.includes(operation), `one of ${activations.join(', ')}`, operation)
  const leftOperand = operand(workspace, 'left', left)
  const rightOperand = right && operand(workspace, 'right', broadcastOperand(workspace, 'right', right, left.shape))
  const output = workspace.allocate(left.shape, left.dtype)
  run(workspace, operation, leftOperand, rightOperand, operand(workspace, 'output', output), false)
  return output
}

/** Writes `source` over the elements that `target` views, converting dtypes. */
export function copyElements(workspace: Workspace, source: Operand, target: Operand): void {
  run(workspace, 'copy', source, undefined, target, true)
}

/** `source` as row-major memory of `dtype`, for the time of the recorded work; itself where it already is that, unless `apart`. */
export function contiguous(workspace: Workspace, source: Operand, dtype: Dtype = source.dtype, apart = false): Operand {
  const strides = contiguousStrides(source.shape)
  const same = source.shape.every((size, axis) => size <= 1 || source.strides[axis] === strides[axis])
  if (same && !apart && dtype === source.dtype) return { ...source, strides }
  const count = elementCount(source.shape)
  const buffer = workspace.recorder.scratch(Math.max(16, (4 * count) / elementsPerWord[dtype] + 4))
  const target: Operand = { dtype, shape: source.shape, strides, offset: 0, binding: { buffer } }
  run(workspace, 'copy', source, undefined, target, false)
  return target
}

function run(
  { recorder }: Workspace,
  operation: ElementwiseSpec['operation'],
  left: Operand,
  right: Operand | undefined,
  output: Operand,
  strided: boolean,
): void {
  const count = elementCount(left.shape)
  const { sizes, strides } = collapse(left.shape, [left.strides, right?.strides ?? left.strides, output.strides])
  const [leftStrides = [], rightStrides = [], outputStrides = []] = strides
  const items = strided ? count : Math.ceil(count / elementsPerWord[output.dtype])
  recorder.dispatch(
    elementwise,
    { operation, rank: sizes.length, left: left.dtype, right: right?.dtype, output: output.dtype, strided },
    {
      parameters: {
        count,
        ...Object.fromEntries(sizes.map((size, axis) => [`size${axis}`, size])),
        ...strideParameters('left', { offset: left.offset, strides: leftStrides }),
        ...strideParameters('right', { offset: right?.offset ?? 0, strides: rightStrides }),
        ...strideParameters('output', { offset: output.offset, strides: outputStrides }),
      },
      buffers: {
        left: left.binding,
        ...(right === undefined ? {} : { right: right.binding }),
        output: output.binding,
      },
      groups: Math.ceil(items / invocationsPerGroup),
      work: 4 * count,
    },
  )
}

/** The fewest axes that walk the same elements in the same order in all layouts. */
export function collapse(
  shape: readonly number[],
  layouts: readonly (readonly number[])[],
): { sizes: number[]; strides: number[][] } {
  const sizes: number[] = []
  const strides: number[][] = layouts.map(() => [])
  for (let axis = 0; axis < shape.length; axis++) {
    const size = shape[axis] ?? 1
    if (size === 1) continue
    const last = sizes.length - 1
    const follows = last >= 0 && layouts.every((layout, which) => strides[which]?.[last] === (layout[axis] ?? 0) * size)
    if (follows) sizes[last] = (sizes[last] ?? 1) * size
    else sizes.push(size)
    layouts.forEach((layout, which) => {
      const list = strides[which]
      if (list !== undefined) list[sizes.length - 1] = layout[axis] ?? 0
    })
  }
  return sizes.length > 0 ? { sizes, strides } : { sizes: [1], strides: layouts.map(() => [0]) }
}
