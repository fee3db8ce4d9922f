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

/** The elements of a span, once everything recorded so far has run. */
export async function readBuffer(queue: Queue, { buffer, byteOffset, count, dtype }: Span, waiting: Waiting): Promise<TypedArray> {
  const bytes = count * bytesPerElement[dtype]
  if (bytes === 0) return new arrayConstructors[dtype](0)
  await withPatience(queue, queue.flush(), waiting)
  await withPatience(queue, queue.check(buffer), waiting)
  const { device } = queue
  const size = Math.ceil(bytes / 4) * 4
  device.pushErrorScope('validation')
  device.pushErrorScope('out-of-memory')
  const staging = device.createBuffer({ size, usage: stagingUsage })
  const encoder = device.createCommandEncoder()
  encoder.copyBufferToBuffer(buffer, byteOffset, staging, 0, size)
  device.queue.submit([encoder.finish()])
  const memoryError = device.popErrorScope()
  const validationError = device.popErrorScope()
  const mapped = staging.mapAsync(mapRead)
  try {
    const failures = await withPatience(queue, Promise.allSettled([memoryError, validationError]), waiting)
    failures.forEach((failure, scope) => {
      if (failure.status === 'rejected' || failure.value === null) return
      throw scope === 0 ? outOfMemory(size, failure.value) : submissionFailed(failure.value)
    })
    await withPatience(queue, mapped, waiting)
    await withPatience(queue, queue.check(buffer), waiting)
    return new arrayConstructors[dtype](staging.getMappedRange().slice(0, bytes))
  } catch (cause) {
    mapped.catch(() => undefined)
    if (queue.lost !== undefined) throw queue.lost
    throw QkvError.is(cause) ? cause : submissionFailed(cause)
  } finally {
    staging.destroy()
  }
}

const stagingUsage = 0x01 | 0x08 // MAP_READ | COPY_DST
const mapRead = 0x01 // GPUMapMode.READ
