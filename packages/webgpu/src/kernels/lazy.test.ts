import { problem, zeros } from '@qkv/core'
import { failingGpu } from '@qkv/testing/failing-gpu'
import { expect, test } from 'vitest'
import { createWebGpuBackend, type WebGpuOptions } from '../index.ts'
import * as lazyKernels from './lazy.ts'

test.each(Object.entries(lazyKernels))('%s goes by its own name before it is loaded', async (_, { name, load }) => {
  expect((await load()).name).toBe(name)
})

/** The kernels that attention and its gradients compile: those that write other buffers than was announced are refused before. */
async function compiledFor(profile: WebGpuOptions['profile']): Promise<Set<string | undefined>> {
  const { device } = failingGpu()
  const { createComputePipelineAsync } = device
  const labels = new Set<string | undefined>()
  device.createComputePipelineAsync = (descriptor) => {
    labels.add(descriptor.label)
    return createComputePipelineAsync(descriptor)
  }
  using backend = await createWebGpuBackend({ device, profile })
  const heads = zeros([1, 2, 40, 16])
  const asked = problem(heads, heads, heads, { causal: true, sinks: [0, 1], bias: zeros([1, 2, 40, 40]) })
  const { output, lse } = backend.attention(asked, { lse: true })
  backend.attentionGradient(asked, { output, lse: lse! }, heads)
  await backend.flush()
  return labels
}

const matrixUnit = { m: 8, n: 8, k: 8, component: 'f32', smallestSubgroup: 32, largestSubgroup: 32 } as const

test.each([
  [
    'by rows',
    { software: true },
    ['attention-rows', 'gradient-delta', 'gradient-query-rows', 'gradient-key-value-rows', 'gradient-bias', 'gradient-sinks'],
  ],
  [
    'by tiles and in matrix units',
    { software: false, workgroupBytes: 32768, matrixUnit },
    ['prefill-matrix', 'gradient-delta', 'gradient-query', 'gradient-key-value', 'gradient-bias', 'gradient-sinks'],
  ],
])('kernels of attention and gradients %s write what was announced', async (_, profile, kernels) => {
  expect([...(await compiledFor(profile))]).toEqual(expect.arrayContaining(kernels))
})
