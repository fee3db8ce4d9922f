import { problem, reference, slice, tensor, zeros } from '@qkv/core'
import { expectWithinBound, random } from '@qkv/testing'
import { expect, test, vi } from 'vitest'
import { testBackend, valuesOf } from './support/backend.ts'

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

test('encode attends over buffers of others, with offsets and strides, and submits nothing', async () => {
  using backend = await testBackend()
  const { device } = backend
  const [length, heads, dim] = [9, 2, 8]
  const shape = [1, heads, length, dim]
  const layout = { offset: 5, strides: [0, dim, heads * dim, 1] } // tokens with their heads side by side, after something else
  const stream = random(1, 'engine')
  const make = () => {
    const numbers = Float32Array.from({ length: layout.offset + length * heads * dim }, () => stream.normal())
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
    const buffer = device.createBuffer({ size: numbers.byteLength + 12, usage })
    device.queue.writeBuffer(buffer, 0, numbers)
    return {
      buffer,
      numbers,
      onDevice: backend.fromBuffer(buffer, shape, 'float32', layout),
      onHost: tensor(numbers, shape, layout),
    }
  }
  const [query, key, value, output] = [make(), make(), make(), make()]

  const encoder = device.createCommandEncoder()
  const submit = vi.spyOn(device.queue, 'submit')
  const asked = problem(query.onDevice, key.onDevice, value.onDevice, { causal: true })
  const scratch = backend.encode(encoder, asked, { output: output.onDevice })
  await backend.flush()
  expect(submit).not.toHaveBeenCalled()
  device.queue.submit([encoder.finish()])
  scratch[Symbol.dispose]()

  const exact = reference(problem(query.onHost, key.onHost, value.onHost, { causal: true }), { backend: 'wgsl' })
  const written = await valuesOf(backend, output.onDevice)
  expectWithinBound(
    written,
    { values: exact.output, bound: exact.bound },
    { name: 'output', shape, token: 'encode', backend: 'wgsl' },
  )
  const before = await valuesOf(backend, backend.fromBuffer(output.buffer, [layout.offset]))
  expect([...before]).toEqual([...output.numbers.subarray(0, layout.offset)])
  for (const { buffer } of [query, key, value, output]) buffer.destroy()
})
