import {
  bytesPerElement,
  contiguousStrides,
  elementCount,
  isHostTensor,
  reach,
  type Dtype,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
  type TypedArray,
} from '@qkv/core'
import { copyElements } from '../portable/copy.ts'
import type { Arena } from './arena.ts'
import { allocateTensor, ArenaTensor, cpuStorage } from './storage.ts'

/** Where a tensor's elements lie in the arena: element `[i, j, …]` at `address + (i·strides[0] + j·strides[1] + …)` elements. */
export interface Placed {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** In elements. */
  readonly strides: readonly number[]
  readonly address: number
}

/**
 * What an operation works with: the arena, memory for as long as it runs, and the results that it makes. Operations that
 * follow each other share one, whose lists only grow: a call's price is mostly what it leaves to the garbage collector.
 */
export class Workspace {
  readonly arena: Arena
  /** The name that errors give the caller's operation. */
  operation = ''
  /** Addresses and sizes of the blocks held, and how many numbers that is. */
  readonly #scratches: number[] = []
  #scratchCount = 0
  readonly #results: OwnedTensor[] = []
  #resultCount = 0
  #copies: { readonly of: HostTensor; readonly placed: Placed }[] = []

  constructor(arena: Arena) {
    this.arena = arena
  }

  begin(operation: string): this {
    this.operation = operation
    return this
  }

  /** A new tensor that is the caller's, unless the operation fails. It holds anything; strides must leave no gaps. */
  result(shape: readonly number[], dtype: Dtype, strides?: readonly number[]): OwnedTensor {
    const tensor = allocateTensor(this.arena, this.operation, shape, dtype, strides)
    this.#results[this.#resultCount++] = tensor
    return tensor
  }

  /** The address of so many bytes, holding anything, until the operation ends. */
  scratch(bytes: number): number {
    const address = this.arena.allocate(this.operation, bytes)
    this.#scratches[this.#scratchCount++] = address
    this.#scratches[this.#scratchCount++] = bytes
    return address
  }

  /** Where a tensor lies; one over a typed array is copied in, once an operation. */
  place(tensor: Tensor): Placed {
    if (isHostTensor(tensor)) return this.#copyOf(tensor)
    const { address } = cpuStorage(this.arena, this.operation, 'tensor', tensor)
    if (tensor instanceof ArenaTensor) return tensor
    const { dtype, shape, strides, offset } = tensor
    return { dtype, shape, strides, address: address + offset * bytesPerElement[dtype] }
  }

  /** The operation has failed: its results are given back. */
  fail(): void {
    for (let index = 0; index < this.#resultCount; index++) this.#results[index]!.dispose()
  }

  /** The operation has ended. */
  release(): void {
    while (this.#scratchCount > 0) {
      const bytes = this.#scratches[--this.#scratchCount]!
      this.arena.free(this.#scratches[--this.#scratchCount]!, bytes)
    }
    this.#resultCount = 0
    if (this.#copies.length > 0) this.#copies = []
  }

  #copyOf(tensor: HostTensor): Placed {
    for (const { of, placed } of this.#copies) if (of === tensor) return placed
    const placed = copyIn(tensor, this)
    this.#copies.push({ of: tensor, placed })
    return placed
  }
}

/**
 * Memory is copied as it lies, gaps and all, so strides stay what they are and repeated axes stay repeated; where gaps
 * would outweigh the elements, the elements alone.
 */
function copyIn(tensor: HostTensor, space: Workspace): Placed {
  const { arena } = space
  const { dtype, shape, strides, offset, storage } = tensor
  const bytes = bytesPerElement[dtype]
  const { first, last } = reach(shape, strides, offset)
  const own = shape.map((size, axis) => (strides[axis] === 0 ? Math.min(1, size) : size))
  const count = elementCount(own)
  if (last + 1 - first <= 2 * count) {
    const address = space.scratch((last + 1 - first) * bytes)
    copyRange(storage, first, last + 1, arena.view(dtype), address / bytes)
    return { dtype, shape, strides, address: address + (offset - first) * bytes }
  }
  const packed = contiguousStrides(own).map((stride, axis) => (strides[axis] === 0 ? 0 : stride))
  const address = space.scratch(count * bytes)
  copyElements(
    { ...tensor, shape: own },
    { dtype, shape: own, strides: packed, offset: address / bytes, storage: arena.view(dtype) },
  )
  return { dtype, shape, strides: packed, address }
}

/** A few elements are copied faster than a view of them is made. */
function copyRange(source: TypedArray, start: number, end: number, target: TypedArray, at: number): void {
  if (end - start > 32) target.set(source.subarray(start, end), at)
  else for (let i = start; i < end; i++) target[at + i - start] = source[i]!
}
