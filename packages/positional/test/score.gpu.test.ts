import { softwareGpu } from '@qkv/testing/software-gpu'
import { createWebGpuBackend } from '@qkv/webgpu'
import { describe, test } from 'vitest'
import { scoreClaims } from './claims/scores.ts'
import { chunks, claimProblems, expectAttention } from './support/attention.ts'

describe.each(scoreClaims)('$name on WebGPU', (claim) => {
  test.each(chunks)('attends as a tensor of all pairs does, for %d queries', async (queries) => {
    using backend = await createWebGpuBackend({ gpu: softwareGpu() })
    const { byExpression, byTensor } = claimProblems(claim, queries)
    await expectAttention(backend, byExpression, byTensor, claim.name, 'wgsl')
  }, 60_000)
})
