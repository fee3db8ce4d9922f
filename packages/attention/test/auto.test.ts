import { createBackend } from '@qkv/attention/auto'
import { expect, it } from 'vitest'

it('takes the CPU where there is no WebGPU, and says why', async () => {
  using backend = await createBackend()
  expect(backend.name).toBe('cpu')
  expect(backend.description).toMatch(/CPU/)
  expect(backend.passedOver).toEqual([{ backend: 'webgpu', reason: expect.stringContaining('navigator.gpu') }])
})

it('takes what is preferred, or nothing', async () => {
  using backend = await createBackend({ prefer: 'cpu' })
  expect([backend.name, backend.passedOver]).toEqual(['cpu', []])
  await expect(createBackend({ prefer: 'webgpu' })).rejects.toThrow(expect.objectContaining({ code: 'DEVICE_UNAVAILABLE' }))
})

it('hands options on', async () => {
  using backend = await createBackend({ prefer: 'cpu', cpu: { engine: 'javascript' } })
  expect(backend.description).toMatch(/JavaScript/)
})

it('goes on to the next when a GPU fails it', async () => {
  const gpu = { requestAdapter: async () => null } as unknown as GPU
  using backend = await createBackend({ webgpu: { gpu } })
  expect(backend.name).toBe('cpu')
  expect(backend.passedOver[0]?.reason).toMatch(/no adapter/)
})

it('refuses names of no backend', async () => {
  await expect(createBackend({ prefer: 'cuda' as never })).rejects.toThrow(
    "prefer must be webgpu, cpu or a list of them; received 'cuda'",
  )
  await expect(createBackend({ prefer: [] })).rejects.toThrow('prefer')
})
