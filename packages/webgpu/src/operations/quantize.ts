import { elementCount, isHostTensor, type Tensor } from '@qkv/core'
import { refusal } from '../errors.ts'
import { invocationsPerGroup } from '../kernel.ts'
import { quantize } from '../kernels/lazy.ts'
import type { Operand } from '../operands.ts'
import { floatDtype, operand, scratchOperand, type Workspace } from '../workspace.ts'
import { expectFloats, expectOption, expectReadable, expectShape } from './checks.ts'
import { contiguous, copyElements } from './copy.ts'
import { walkOf } from './walk.ts'

/** Writes `source` as whole numbers over what `target` views, and over `scales` what they are multiples of. */
export function quantizeVectors(workspace: Workspace, source: Tensor, target: Tensor, scales: Tensor): void {
  const codes = checkOperands(workspace, source, target, scales)
  const into = operand(workspace, 'target', target)
  const given = operand(workspace, 'scales', scales)
  const read = operand(workspace, 'source', source)
  // No buffer may be bound twice where it is written.
  const apart = [into, given].some(({ binding }) => binding.buffer === read.binding.buffer)
  const from = apart ? contiguous(workspace, read, read.dtype, true) : read
  const factors = into.binding.buffer === given.binding.buffer ? scratchOperand(workspace, given.shape) : given
  const leading = source.shape.slice(0, -1)
  const [dim = 0, groups = 0] = [source.shape.at(-1), scales.shape.at(-1)]
  const { axes, parameters } = walkOf(leading, { source: from, codes: into, scales: factors })
  const step = (view: Operand): number => view.strides.at(-1) ?? 1
  const count = elementCount(scales.shape)
  workspace.recorder.dispatch(
    quantize,
    { axes, source: floatDtype(from.dtype), target: codes },
    {
      parameters: {
        count,
        groups,
        elements: dim / groups,
        ...parameters,
        sourceStep: step(from),
        codesStep: step(into),
        scalesStep: step(factors),
      },
      buffers: { source: from.binding, codes: into.binding, scales: factors.binding },
      groups: Math.ceil(count / invocationsPerGroup),
      work: 16 * elementCount(source.shape),
    },
  )
  if (factors !== given) copyElements(workspace, factors, given)
}

function checkOperands(workspace: Workspace, source: Tensor, target: Tensor, scales: Tensor): 'int8' | 'uint8' {
  expectFloats(workspace, 'source', source)
  expectShape(workspace, 'source', source, source.shape.length > 0, '[…, dim]')
  expectReadable(workspace, 'target', target)
  expectReadable(workspace, 'scales', scales)
  if (target.dtype !== 'int8' && target.dtype !== 'uint8') {
    throw refusal(workspace, 'DTYPE_UNSUPPORTED', 'target', 'int8 or uint8', target.dtype)
  }
  if (scales.dtype !== 'float32') throw refusal(workspace, 'DTYPE_UNSUPPORTED', 'scales', 'float32', scales.dtype)
  const [dim = 0, groups = 0] = [source.shape.at(-1), scales.shape.at(-1)]
  const leading = source.shape.slice(0, -1)
  const perByte = target.dtype === 'int8' ? 1 : 2
  const expected = [...leading, dim / perByte]
  expectShape(workspace, 'target', target, String(target.shape) === String(expected), `[${expected.join(',')}]`)
  const whole = dim === 0 ? groups === 0 : groups > 0 && dim % (groups * perByte) === 0
  const fits = whole && String(scales.shape) === String([...leading, groups])
  expectShape(
    workspace,
    'scales',
    scales,
    fits,
    `[${[...leading, 'groups'].join(',')}], equal groups${perByte === 2 ? ' of an even size' : ''} of ${dim}`,
  )
  for (const [argument, view] of [
    ['target', target],
    ['scales', scales],
  ] as const) {
    expectOption(workspace, argument, !isHostTensor(view), 'a tensor of this backend', 'a tensor over a typed array')
  }
  return target.dtype
}
