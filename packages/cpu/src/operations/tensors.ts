import {
  checkTensor,
  dtypes,
  elementCount,
  isHostTensor,
  QkvError,
  type Dtype,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
  type TypedArray,
} from '@qkv/core'
import type { Engine } from '../engine.ts'
import { hostView } from '../memory/storage.ts'
import type { Workspace } from '../memory/workspace.ts'
import { copyElements, packed } from '../portable/index.ts'
import { expectReadable } from './checks.ts'

/** Into the backend's memory and out of it. */

export function empty(space: Workspace, _: Engine, shape: readonly number[], dtype: Dtype = 'float32'): OwnedTensor {
  const { operation } = space
  const count = Array.isArray(shape) ? elementCount(shape) : NaN
  if (!dtypes.includes(dtype)) {
    const expected = `one of ${dtypes.join(', ')}`
    throw new QkvError({ code: 'DTYPE_UNSUPPORTED', operation, argument: 'dtype', expected, received: String(dtype) })
  }
  if (!Number.isSafeInteger(count) || shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    const expected = 'an array of whole numbers ≥ 0'
    throw new QkvError({ code: 'SHAPE_MISMATCH', operation, argument: 'shape', expected, received: String(shape) })
  }
  const tensor = space.result(shape, dtype)
  const { storage, offset } = hostView(tensor)
  storage.fill(0, offset, offset + count)
  return tensor
}

export function upload(space: Workspace, _: Engine, tensor: HostTensor): OwnedTensor {
  const { operation } = space
  checkTensor(operation, 'tensor', tensor)
  if (!isHostTensor(tensor)) {
    const [expected, received] = ['over a typed array', 'a tensor that a backend owns']
    throw new QkvError({ code: 'OPTION_INVALID', operation, argument: 'tensor', expected, received })
  }
  const copy = space.result(tensor.shape, tensor.dtype)
  copyElements(tensor, hostView(copy))
  return copy
}

export function read(space: Workspace, _: Engine, tensor: Tensor): TypedArray {
  expectReadable(space, 'tensor', tensor)
  return packed(hostView(tensor)).storage
}
