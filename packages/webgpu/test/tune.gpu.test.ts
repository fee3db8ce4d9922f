import { QkvError } from '@qkv/core'
import { drawTokens, randomProblem } from '@qkv/testing'
import type { WebGpuOptions } from '@qkv/webgpu'
import { tune } from '@qkv/webgpu/tune'
import { expect, test, vi } from 'vitest'
import { expectAttention, testBackend } from './support/backend.ts'

test('a device is timed once, and what was found is plain data that the next backend takes', async () => {
  using backend = await testBackend({ software: false })
  const fractions: number[] = []
  const profile = await tune(backend, { headDims: [16], onProgress: (fraction) => fractions.push(fraction) })
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
  expect(fractions.at(-1)).toBeCloseTo(1)
  expect(profile).toEqual({
    software: expect.any(Boolean) as boolean,
    subgroupSize: expect.any(Number) as number,
    matrixUnit: undefined,
    tilings: { narrow: expect.any(Object) as object, wide: backend.profile.tilings.wide },
    invocations: expect.any(Number) as number,
  })

  const kept = JSON.parse(JSON.stringify(profile)) as NonNullable<WebGpuOptions['profile']>
  using tuned = await testBackend(kept)
  expect(tuned.profile).toEqual({ ...backend.profile, ...profile })
  for (const token of drawTokens({ count: 3, seed: 21, limits: { work: 2 ** 14 } })) {
    const { problem } = randomProblem(token)
    await expectAttention(tuned, problem, token)
  }
})

test('kernels that are wrong on a device are not kept, however fast they are', async () => {
  using backend = await testBackend({ software: false })
  const make = backend.device.createShaderModule.bind(backend.device)
  vi.spyOn(backend.device, 'createShaderModule').mockImplementation((descriptor) => {
    const isFastest = descriptor.label === 'attention-rows' // on a CPU that plays a GPU
    const code = isFastest ? descriptor.code.replaceAll('parameters.scale', '(1.01 * parameters.scale)') : descriptor.code
    return make({ ...descriptor, code })
  })
  const profile = await tune(backend, { headDims: [16] })
  expect(profile.software).toBe(false)
})

test('tuning can be aborted', async () => {
  using backend = await testBackend({ software: false })
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 100)
  const failure = await tune(backend, { headDims: [16], signal: stop.signal }).catch((cause: unknown) => cause)
  expect(QkvError.is(failure) && failure.code).toBe('ABORTED')
  expect(backend.memory.buffers).toBe(0)
})
