import { contiguousStrides, elementCount, isFloat, type Dtype, type FloatDtype, type OwnedTensor, type Tensor } from '@qkv/core'
import type { Recorder } from './commands.ts'
import type { DeviceProfile } from './device-profile.ts'
import { bind, type BindingLimits, type Operand } from './operands.ts'
import { bufferBytes } from './storage.ts'

/** What an operation works with: somewhere to record, somewhere to put results, and what the device is like. */
export interface Workspace {
  readonly recorder: Recorder
  readonly limits: BindingLimits
  readonly profile: DeviceProfile
  /** The name that errors give the caller's operation. */
  readonly operation: string
  /** The mark of this backend's tensors. */
  readonly owner: symbol
  /** A tensor of its own; its contents are anything. Strides must leave no gaps. */
  allocate(shape: readonly number[], dtype: Dtype, strides?: readonly number[]): OwnedTensor
  /** Two float32 tensors in one buffer, which goes back when both are disposed. */
  allocatePair(first: readonly number[], second: readonly number[]): [OwnedTensor, OwnedTensor]
}

export function operand(space: Workspace, argument: string, tensor: Tensor): Operand {
  return bind(space, argument, tensor)
}

/** Float32 memory without gaps for the time of the recorded work. */
export function scratchOperand(
  { recorder }: Workspace,
  shape: readonly number[],
  strides: readonly number[] = contiguousStrides(shape),
): Operand {
  const buffer = recorder.scratch(bufferBytes(elementCount(shape), 'float32'))
  return { dtype: 'float32', shape, strides, offset: 0, binding: { buffer } }
}

export function floatDtype(dtype: Dtype): FloatDtype {
  if (isFloat(dtype)) return dtype
  throw new TypeError(`${dtype} is no float dtype`)
}
