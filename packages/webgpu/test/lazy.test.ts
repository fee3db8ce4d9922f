import { problem, zeros } from '@qkv/core'
import { failingGpu } from '@qkv/testing/failing-gpu'
import { createWebGpuBackend } from '@qkv/webgpu'
import { expect, test, vi } from 'vitest'

vi.mock('../src/kernels/layers.ts', () => {
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
