import { arrayConstructors, bytesPerElement, QkvError, type Dtype, type TypedArray } from '@qkv/core'
import { outOfMemory, submissionFailed } from './errors.ts'
import { withPatience, type Waiting } from './patience.ts'
import type { Queue } from './queue.ts'

/** Elements of a buffer, from a byte on. */
export interface Span {
  readonly buffer: GPUBuffer
  readonly byteOffset: number
  readonly count: number
  readonly dtype: Dtype
}

/**
 * The elements of a span, once everything recorded so far has run. All that is asked of the device is asked at once, and
 * waited for once: in a page every answer comes from another process.
 */
export async function readBuffer(queue: Queue, span: Span, waiting: Waiting): Promise<TypedArray> {
  const { count, dtype } = span
  const bytes = count * bytesPerElement[dtype]
  if (bytes === 0) return new arrayConstructors[dtype](0)
  await withPatience(queue, queue.flush(), waiting)
  const size = Math.ceil(bytes / 4) * 4
  const staging = stage(queue, span, size)
  try {
    await withPatience(queue, staging.filled, waiting)
    const elements = new arrayConstructors[dtype](staging.buffer.getMappedRange(0, size).slice(0, bytes))
    staging.buffer.unmap()
    queue.leaveStaging(staging.buffer)
    return elements
  } catch (cause) {
    staging.buffer.destroy()
    if (queue.lost !== undefined) throw queue.lost
    throw QkvError.is(cause) ? cause : submissionFailed(cause)
  }
}

/** A copy that is mapped, or why it is not: first of all what went wrong with what it copies. */
function stage(queue: Queue, { buffer, byteOffset }: Span, size: number): { buffer: GPUBuffer; filled: Promise<void> } {
  const { device } = queue
  device.pushErrorScope('validation')
  device.pushErrorScope('out-of-memory')
  const staging = queue.takeStaging(size)
  const encoder = device.createCommandEncoder()
  encoder.copyBufferToBuffer(buffer, byteOffset, staging, 0, size)
  device.queue.submit([encoder.finish()])
  const answers = Promise.allSettled([device.popErrorScope(), device.popErrorScope(), staging.mapAsync(mapRead, 0, size)])
  const filled = answers.then(async ([memory, validation, mapped]) => {
    await queue.check(buffer)
    if (memory.status === 'fulfilled' && memory.value !== null) throw outOfMemory(size, memory.value)
    if (validation.status === 'fulfilled' && validation.value !== null) throw submissionFailed(validation.value)
    if (mapped.status === 'rejected') throw mapped.reason
  })
  return { buffer: staging, filled }
}

const mapRead = 0x01 // GPUMapMode.READ
