import { elementCount, type Activation, type OwnedTensor, type Tensor } from '@qkv/core'
import { invocationsPerGroup } from '../kernel.ts'
import { elementwiseOperations, type ElementwiseOperation } from '../kernels/elementwise-interface.ts'
import { elementwise } from '../kernels/lazy.ts'
import type { Operand } from '../operands.ts'
import { elementsPerWord } from '../snippets/bits.wgsl.ts'
import { floatDtype, operand, type Workspace } from '../workspace.ts'
import { broadcastOperand, expectFloats, expectOption } from './checks.ts'
import { walkOf } from './walk.ts'

/** A new contiguous tensor f(input), of the input's shape and dtype. */
export function activateElements(workspace: Workspace, input: Tensor, activation: Activation): OwnedTensor {
  expectFloats(workspace, 'input', input)
  expectOption(workspace, 'activation', activations.includes(activation), `one of ${activations.join(', ')}`, activation)
  const only = operand(workspace, 'input', input)
  return mapElements(workspace, activation, only, only)
}

/** A new contiguous tensor f(left, right), of the left's shape and dtype; `right` broadcasts to `left`. */
export function combineElements(workspace: Workspace, operation: 'add' | 'multiply', left: Tensor, right: Tensor): OwnedTensor {
  expectFloats(workspace, 'left', left)
  const first = operand(workspace, 'left', left)
  const second = operand(workspace, 'right', broadcastOperand(workspace, 'right', right, left.shape))
  return mapElements(workspace, operation, first, second)
}

const activations: readonly string[] = elementwiseOperations.filter((operation) => operation !== 'add' && operation !== 'multiply')

/** The right operand has the shape of the left; what takes only one is given it twice. */
function mapElements(workspace: Workspace, operation: ElementwiseOperation, left: Operand, right: Operand): OwnedTensor {
  const output = workspace.allocate(left.shape, left.dtype)
  const count = elementCount(left.shape)
  const { axes, parameters } = walkOf(left.shape, { left, right })
  workspace.recorder.dispatch(
    elementwise,
    { left: floatDtype(left.dtype), right: floatDtype(right.dtype), axes },
    {
      parameters: { operation: elementwiseOperations.indexOf(operation), count, ...parameters },
      buffers: { left: left.binding, right: right.binding, output: operand(workspace, 'output', output).binding },
      groups: Math.ceil(count / elementsPerWord[left.dtype] / invocationsPerGroup),
      work: 4 * count,
    },
  )
  return output
}
