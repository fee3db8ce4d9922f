import { arrayConstructors, bytesPerElement, QkvError, type Dtype, type TypedArray } from '@qkv/core'
import type { Queue } from './queue.ts'

/**
 * The first `count` elements of a buffer, once everything recorded so far has run.
 *
 * @param patience milliseconds without any progress of the device after which waiting ends with `TIMEOUT`
 */
export async function readBuffer(
  queue: Queue,
  buffer: GPUBuffer,
  byteOffset: number,
  count: number,
  dtype: Dtype,
  patience: number,
): Promise<TypedArray> {
  const bytes = count * bytesPerElement[dtype]
  if (bytes === 0) return new arrayConstructors[dtype](0)
  await queue.flush()
  await queue.check(buffer)
  const { device } = queue
  const size = Math.ceil(bytes / 4) * 4
  const staging = device.createBuffer({ size, usage: stagingUsage })
  try {
    const encoder = device.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, byteOffset, staging, 0, size)
    device.queue.submit([encoder.finish()])
    await withPatience(queue, staging.mapAsync(mapRead), patience)
    await queue.check(buffer)
    return new arrayConstructors[dtype](staging.getMappedRange().slice(0, bytes))
  } catch (cause) {
    if (queue.lost !== undefined) throw queue.lost
    throw cause
  } finally {
    staging.destroy()
  }
}

const stagingUsage = 0x01 | 0x08 // MAP_READ | COPY_DST
const mapRead = 0x01 // GPUMapMode.READ

/** Waits for `done`, the device's loss, or `patience` milliseconds in which the device finished nothing. */
export async function withPatience<T>(queue: Queue, done: Promise<T>, patience: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const stuck = new Promise<never>((_, reject) => {
    let seen = queue.finished
    const look = (): void => {
      if (queue.finished === seen) {
        reject(new QkvError({
          code: 'TIMEOUT', operation: 'read', argument: 'device',
          expected: `some progress within ${patience} ms`, received: 'none',
        }))
        return
      }
      seen = queue.finished
      timer = setTimeout(look, patience)
    }
    timer = setTimeout(look, patience)
  })
  let forget = (): void => undefined
  const lost = new Promise<never>((_, reject) => {
    forget = queue.onLost(reject)
  })
  for (const promise of [done, stuck, lost]) promise.catch(() => undefined) // whichever loses the race is nobody's concern
  try {
    return await Promise.race([done, stuck, lost])
  } finally {
    clearTimeout(timer)
    forget()
  }
}

