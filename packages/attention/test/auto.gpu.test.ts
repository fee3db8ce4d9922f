import { createBackend } from '@qkv/attention/auto'
import { softwareGpu } from '@qkv/testing/software-gpu'
import { expect, it } from 'vitest'

it('passes over a GPU that the processor emulates, unless told to take it', async () => {
  using backend = await createBackend({ webgpu: { gpu: softwareGpu() } })
  expect(backend.name).toBe('cpu')
  expect(backend.passedOver[0]?.reason).toMatch(/a GPU \(softwareGpu: true takes any adapter\)/)
  using emulated = await createBackend({ webgpu: { gpu: softwareGpu() }, softwareGpu: true })
  expect([emulated.name, emulated.passedOver]).toEqual(['webgpu', []])
})
