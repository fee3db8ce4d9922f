import { failingGpu } from '@qkv/testing/failing-gpu'
import { createWebGpuBackend, type WebGpuOptions } from '@qkv/webgpu'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

describe('a browser that does not answer', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const never = (): Promise<never> => new Promise(() => {})
  const { features, limits } = failingGpu().device
  const silent: Record<string, WebGpuOptions> = {
    adapter: { gpu: { requestAdapter: never } as Partial<GPU> as GPU },
    device: { adapter: { features, limits, requestDevice: never } as Partial<GPUAdapter> as GPUAdapter },
  }

  test.each(Object.entries(silent))('when it is asked for its %s is one without WebGPU', async (what, options) => {
    const asked = createWebGpuBackend(options).catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await asked).toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining(`no ${what} (no answer)`),
    })
  })
})
