import { stridesLike, type Dtype, type FloatDtype, type OwnedTensor } from '@qkv/core'
import { hasVectors, type Operand } from '../operands.ts'
import type { Access } from '../snippets/elements.wgsl.ts'
import { floatDtype, operand, scratchOperand, type Workspace } from '../workspace.ts'
import { copyElements } from './copy.ts'

/** Where and how a kernel writes. */
export interface OutputTarget {
  readonly access: Access<FloatDtype>
  readonly output: Operand
}

/** Writes an operation's result, given how and where. */
export type Write = (access: Access<FloatDtype>, output: Operand) => void

/** A new tensor that `write` fills. */
export function produce(
  workspace: Workspace,
  shape: readonly number[],
  dtype: Dtype,
  write: Write,
  strides?: readonly number[],
): OwnedTensor {
  const result = workspace.allocate(shape, dtype, strides)
  fill(workspace, operand(workspace, 'output', result), write)
  return result
}

/**
 * Lets `write` fill `target`. Kernels write float32 anywhere, and halves four at a time; halves that share words with
 * others are written as float32 first and then put in place.
 */
export function fill(workspace: Workspace, target: Operand, write: Write): void {
  const dtype = floatDtype(target.dtype)
  const vectors = hasVectors(target)
  if (vectors || dtype === 'float32') {
    write({ dtype, vectors }, target)
    return
  }
  const wide = scratchOperand(workspace, target.shape, stridesLike(target.shape, target))
  write({ dtype: 'float32', vectors: hasVectors(wide) }, wide)
  copyElements(workspace, wide, target)
}
