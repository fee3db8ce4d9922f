import { problem, zeros } from '@qkv/core'
import { failingGpu } from '@qkv/testing/failing-gpu'
import { createWebGpuBackend, type MatrixUnit } from '@qkv/webgpu'
import { expect, test, vi } from 'vitest'

vi.mock('../src/kernels/layers.ts', () => {
  throw new Error('offline')
})

vi.mock('../src/operations/prefill-matrix.ts', () => {
  throw new Error('offline')
})

test('kernels that cannot be loaded fail what is computed with them, and nothing else', async () => {
  using backend = await createWebGpuBackend({ device: failingGpu().device, patience: 1000 })
  const input = backend.upload(zeros([5, 8]))
  const product = backend.linear(input, zeros([3, 8]))
  await expect(backend.read(backend.add(product, product))).rejects.toMatchObject({ code: 'PIPELINE_FAILED' })
  await expect(backend.read(input)).resolves.toHaveLength(40)
  const heads = zeros([1, 1, 4, 8])
  await expect(backend.read(backend.attention(problem(heads, heads, heads)).output)).resolves.toHaveLength(32)
})

const matrixUnit: MatrixUnit = { m: 8, n: 8, k: 8, component: 'f32', smallestSubgroup: 32, largestSubgroup: 32 }

test.each([
  { whose: 'a device that was made for a backend', owned: true },
  { whose: 'a device of someone else', owned: false },
])('$whose is destroyed where its kernels cannot be loaded: $owned', async ({ owned }) => {
  const { device } = failingGpu()
  const destroy = vi.spyOn(device, 'destroy')
  const { features, limits } = device
  const adapter = { features, limits, requestDevice: async () => device } as Partial<GPUAdapter> as GPUAdapter
  const backend = createWebGpuBackend({ ...(owned ? { adapter } : { device }), profile: { matrixUnit } })
  await expect(backend).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' })
  expect(destroy).toHaveBeenCalledTimes(owned ? 1 : 0)
})
