import { bytesPerElement, contiguousStrides, elementCount, reach, type Dtype, type HostTensor, type Tensor } from '@qkv/core'
import { copyElements } from '../portable/copy.ts'
import type { Arena } from './arena.ts'
import { cpuStorage, hostView } from './storage.ts'

/** Where a tensor's elements lie in the arena: element `[i, j, …]` at `address + (i·strides[0] + j·strides[1] + …)` elements. */
export interface Placed {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** In elements. */
  readonly strides: readonly number[]
  readonly address: number
}

/** What one operation works with: the arena, and memory for as long as it runs. */
export interface Workspace {
  /** The name that errors give the caller's operation. */
  readonly operation: string
  readonly arena: Arena
  /** The address of so many bytes, holding anything, until the operation ends. */
  scratch(bytes: number): number
  /** Where a tensor lies; one over a typed array is copied in, once an operation. */
  place(tensor: Tensor): Placed
  release(): void
}

export function workspace(arena: Arena, operation: string): Workspace {
  const scratches: number[] = []
  const copies = new Map<Tensor, Placed>()
  const scratch = (bytes: number): number => {
    const address = arena.allocate(operation, bytes)
    scratches.push(address)
    return address
  }
  return {
    operation,
    arena,
    scratch,
    place(tensor) {
      if (!ArrayBuffer.isView(tensor.storage)) {
        const { dtype, shape, strides, offset } = tensor
        const { address } = cpuStorage(arena, operation, 'tensor', tensor)
        return { dtype, shape, strides, address: address + offset * bytesPerElement[dtype] }
      }
      const copy = copies.get(tensor) ?? copyIn(hostView(tensor), arena, scratch)
      copies.set(tensor, copy)
      return copy
    },
    release() {
      for (const address of scratches) arena.free(address)
      scratches.length = 0
      copies.clear()
    },
  }
}

/**
 * Memory is copied as it lies, gaps and all, so strides stay what they are and repeated axes stay repeated; where gaps
 * would outweigh the elements, the elements alone.
 */
function copyIn(tensor: HostTensor, arena: Arena, scratch: (bytes: number) => number): Placed {
  const { dtype, shape, strides, offset, storage } = tensor
  const bytes = bytesPerElement[dtype]
  const { first, last } = reach(shape, strides, offset)
  const own = shape.map((size, axis) => (strides[axis] === 0 ? Math.min(1, size) : size))
  const count = elementCount(own)
  if (last + 1 - first <= 2 * count) {
    const address = scratch((last + 1 - first) * bytes)
    arena.view(dtype).set(storage.subarray(first, last + 1), address / bytes)
    return { dtype, shape, strides, address: address + (offset - first) * bytes }
  }
  const packed = contiguousStrides(own).map((stride, axis) => (strides[axis] === 0 ? 0 : stride))
  const address = scratch(count * bytes)
  copyElements(
    { ...tensor, shape: own },
    { dtype, shape: own, strides: packed, offset: address / bytes, storage: arena.view(dtype) },
  )
  return { dtype, shape, strides: packed, address }
}
