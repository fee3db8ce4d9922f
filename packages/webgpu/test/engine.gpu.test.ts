import { slice, tensor, zeros } from '@qkv/core'
import { expect, test } from 'vitest'
import { testBackend } from './support/backend.ts'

test('toBuffer says where a tensor lies, so that others on the device read it without a copy', async () => {
  using backend = await testBackend()
  const { device } = backend
  using sum = backend.add(
    tensor(
      Float32Array.from({ length: 12 }, (_, index) => index),
      [3, 4],
    ),
    zeros([3, 4]),
  )
  const { buffer, offset, size } = backend.toBuffer(slice(sum, 0, 1, 2))
  expect([offset, size]).toEqual([16, 16])
  await backend.flush()

  const home = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  const encoder = device.createCommandEncoder()
  encoder.copyBufferToBuffer(buffer, offset, home, 0, size)
  device.queue.submit([encoder.finish()])
  await home.mapAsync(GPUMapMode.READ)
  expect([...new Float32Array(home.getMappedRange())]).toEqual([4, 5, 6, 7])
  home.destroy()
  expect(() => backend.toBuffer(zeros([3]))).toThrow(/this backend/)
})
