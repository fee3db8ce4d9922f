import {
  bytesPerElement,
  contiguousStrides,
  elementCount,
  isContiguous,
  reach,
  type Dtype,
  type HostTensor,
  type Tensor,
} from '@qkv/core'
import type { WebGpuBackend } from '../backend.ts'
import { withPatience } from '../patience.ts'
import { writeBytes } from '../queue.ts'
import { readBuffer, type Span } from '../readback.ts'
import type { Session } from '../session.ts'
import { gpuStorage, storageOf } from '../storage.ts'
import { operand, type Workspace } from '../workspace.ts'
import { expectLayout, expectReadable } from './checks.ts'
import { contiguous, copyElements } from './copy.ts'

type MemoryOperations = Pick<WebGpuBackend, 'empty' | 'upload' | 'read' | 'fromBuffer' | 'toBuffer' | 'flush'>

/** What brings tensors to the device, says where they lie there, and brings them back. */
export function memoryOperations(session: Session): MemoryOperations {
  const { device, queue, owner, patience } = session
  const spanOf = session.operation('read', inOneSpan)
  return {
    empty: session.operation('empty', (space, shape: readonly number[], dtype: Dtype = 'float32') => {
      expectLayout(space, shape, dtype)
      const result = space.allocate(shape, dtype)
      space.recorder.clear(session.bufferOf(result))
      return result
    }),

    upload: session.operation('upload', (space, tensor: HostTensor) => {
      expectReadable(space, 'tensor', tensor)
      const result = space.allocate(tensor.shape, tensor.dtype)
      if (isContiguous(tensor)) {
        const { buffer, byteOffset, BYTES_PER_ELEMENT: size } = tensor.storage
        const bytes = new Uint8Array(buffer, byteOffset + tensor.offset * size, elementCount(tensor.shape) * size)
        writeBytes(device, session.bufferOf(result), bytes)
      } else {
        copyElements(space, operand(space, 'tensor', tensor), operand(space, 'result', result))
      }
      return result
    }),

    read: async (tensor, { signal } = {}) => readBuffer(queue, spanOf(tensor), { operation: 'read', patience, signal }),

    fromBuffer(buffer, shape, dtype = 'float32', { strides, offset = 0 } = {}) {
      session.checkAlive()
      return {
        dtype,
        shape: [...shape],
        strides: [...(strides ?? contiguousStrides(shape))],
        offset,
        storage: storageOf(owner, buffer, buffer.size),
      }
    },

    toBuffer(tensor) {
      session.checkAlive()
      expectReadable({ operation: 'toBuffer', owner }, 'tensor', tensor)
      const { buffer } = gpuStorage(owner, 'toBuffer', 'tensor', tensor)
      const { first, last } = reach(tensor.shape, tensor.strides, tensor.offset)
      const bytes = bytesPerElement[tensor.dtype]
      return { buffer, offset: first * bytes, size: (last + 1 - first) * bytes }
    },

    flush: ({ signal } = {}) => withPatience(queue, queue.flush(), { operation: 'flush', patience, signal }),
  }
}

/** A tensor's elements in row-major order, as a copy reads them: from a whole word on. */
function inOneSpan(space: Workspace, tensor: Tensor): Span {
  expectReadable(space, 'tensor', tensor)
  const { dtype, shape } = tensor
  const bytes = bytesPerElement[dtype]
  const view = operand(space, 'tensor', tensor)
  const splitsWord = (view.offset * bytes) % 4 !== 0
  const { binding, offset } = contiguous(space, view, dtype, splitsWord)
  return { buffer: binding.buffer, byteOffset: (binding.offset ?? 0) + offset * bytes, count: elementCount(shape), dtype }
}
