import { bytesPerElement, isHostTensor, reach, type Dtype, type Tensor } from '@qkv/core'
import type { Recorder } from './commands.ts'
import { refusal } from './errors.ts'
import { gpuStorage } from './storage.ts'

/** A tensor as a kernel sees it: a binding, and where in the binding its elements lie. */
export interface Operand {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  /** In elements, from the start of the binding. */
  readonly offset: number
  readonly binding: GPUBufferBinding
}

export interface BindingLimits {
  readonly maxStorageBufferBindingSize: number
  readonly minStorageBufferOffsetAlignment: number
}

/** Where tensors are bound: whose operation, on what, and whose tensors. */
export interface BindingSpace {
  readonly recorder: Recorder
  readonly limits: BindingLimits
  readonly operation: string
  readonly owner: symbol
}

/**
 * Binds a tensor; one over a typed array is copied in for the time of the recorded work, gaps and all.
 *
 * @throws QkvError `LIMIT_EXCEEDED` where it reaches further than a device binds
 */
export function bind({ recorder, limits, operation, owner }: BindingSpace, argument: string, tensor: Tensor): Operand {
  const { dtype, shape, strides } = tensor
  const bytes = bytesPerElement[dtype]
  const { first, last } = reach(shape, strides, tensor.offset)
  const rangeFrom = (alignment: number): { start: number; size: number } => {
    const start = Math.floor((Math.max(0, first) * bytes) / alignment) * alignment
    const size = Math.max(0, (last + 1) * bytes - start)
    if (size <= limits.maxStorageBufferBindingSize) return { start, size }
    const expected = `at most ${limits.maxStorageBufferBindingSize} bytes, what this device binds`
    throw refusal({ operation }, 'LIMIT_EXCEEDED', argument, expected, `${size} bytes`)
  }
  if (isHostTensor(tensor)) {
    const { start, size } = rangeFrom(16)
    const { storage } = tensor
    const data = new Uint8Array(storage.buffer, storage.byteOffset + start, size)
    return { dtype, shape, strides, offset: tensor.offset - start / bytes, binding: { buffer: recorder.upload(data) } }
  }
  const { buffer } = gpuStorage(owner, operation, argument, tensor)
  if (buffer.size <= limits.maxStorageBufferBindingSize) {
    return { dtype, shape, strides, offset: tensor.offset, binding: { buffer } }
  }
  const { start, size } = rangeFrom(limits.minStorageBufferOffsetAlignment)
  const binding = { buffer, offset: start, size: Math.min(Math.ceil(size / 16) * 16, buffer.size - start) }
  return { dtype, shape, strides, offset: tensor.offset - start / bytes, binding }
}

/** Whether rows along the last axis lie without gaps at multiples of `width` elements. */
export function hasVectors({ shape, strides, offset }: Pick<Operand, 'shape' | 'strides' | 'offset'>, width = 4): boolean {
  const last = shape.length - 1
  return (
    offset % width === 0 &&
    (shape[last] ?? 0) % width === 0 &&
    strides[last] === 1 &&
    strides.every((stride, axis) => axis === last || stride % width === 0 || (shape[axis] ?? 0) <= 1)
  )
}

/** `{name}Offset`, `{name}Stride0`, … */
export function strideParameters(name: string, { offset, strides }: Pick<Operand, 'strides' | 'offset'>): Record<string, number> {
  const parameters: Record<string, number> = { [`${name}Offset`]: offset }
  strides.forEach((stride, axis) => (parameters[`${name}Stride${axis}`] = stride))
  return parameters
}
