import { contiguousStrides, elementCount, isHostTensor, type Dtype, type Tensor } from '@qkv/core'
import { invocationsPerGroup } from '../kernel.ts'
import { copy } from '../kernels/copy.wgsl.ts'
import type { Operand } from '../operands.ts'
import { elementsPerWord } from '../snippets/bits.wgsl.ts'
import { operand, type Workspace } from '../workspace.ts'
import { expectOption, expectReadable, expectShape } from './checks.ts'
import { walkOf } from './walk.ts'

/** Copies over the elements that `target` views; through memory in between where both lie in one buffer. */
export function copyTensor(workspace: Workspace, source: Tensor, target: Tensor): void {
  expectReadable(workspace, 'source', source)
  expectReadable(workspace, 'target', target)
  const sameShape = String(source.shape) === String(target.shape)
  expectShape(workspace, 'source', source, sameShape, `the target's shape [${target.shape.join(',')}]`)
  expectOption(workspace, 'target', !isHostTensor(target), 'a tensor of this backend', 'a tensor over a typed array')
  const into = operand(workspace, 'target', target)
  const from = operand(workspace, 'source', source)
  const apart = from.binding.buffer === into.binding.buffer ? contiguous(workspace, from, from.dtype, true) : from
  copyElements(workspace, apart, into)
}

/** Writes `source` over the elements that `target` views, converting dtypes. */
export function copyElements(workspace: Workspace, source: Operand, target: Operand): void {
  run(workspace, source, target, true)
}

/** `source` as row-major memory of `dtype`, for the time of the recorded work; itself where it already is that, unless `apart`. */
export function contiguous(workspace: Workspace, source: Operand, dtype: Dtype = source.dtype, apart = false): Operand {
  const strides = contiguousStrides(source.shape)
  const same = source.shape.every((size, axis) => size <= 1 || source.strides[axis] === strides[axis])
  if (same && !apart && dtype === source.dtype) return { ...source, strides }
  const count = elementCount(source.shape)
  const buffer = workspace.recorder.scratch(Math.max(16, (4 * count) / elementsPerWord[dtype] + 4))
  const target: Operand = { dtype, shape: source.shape, strides, offset: 0, binding: { buffer } }
  run(workspace, source, target, false)
  return target
}

function run({ recorder }: Workspace, source: Operand, output: Operand, strided: boolean): void {
  const count = elementCount(source.shape)
  const { axes, parameters } = walkOf(source.shape, strided ? { source, output } : { source })
  const items = strided ? count : Math.ceil(count / elementsPerWord[output.dtype])
  recorder.dispatch(
    copy,
    { source: source.dtype, output: output.dtype, strided, axes },
    {
      parameters: { count, outputOffset: output.offset, ...parameters },
      buffers: { source: source.binding, output: output.binding },
      groups: Math.ceil(items / invocationsPerGroup),
      work: 4 * count,
    },
  )
}
