import { softwareGpu } from '@qkv/testing/software-gpu'
import { createWebGpuBackend } from '@qkv/webgpu'
import { describe, test } from 'vitest'
import { contentClaims } from './claims/content.ts'
import { scoreClaims } from './claims/scores.ts'
import { chunks, claimProblems, expectAttention } from './support/attention.ts'
import { byScores, byTerms, contentInputs } from './support/content.ts'

describe.each(scoreClaims)('$name on WebGPU', (claim) => {
  test.each(chunks)(
    'attends as a tensor of all pairs does, for %d queries',
    async (queries) => {
      using backend = await createWebGpuBackend({ gpu: softwareGpu() })
      const { byExpression, byTensor } = claimProblems(claim, queries)
      await expectAttention(backend, byExpression, byTensor, claim.name, 'wgsl')
    },
    60_000,
  )
})

describe.each(contentClaims)('$name on WebGPU', (claim) => {
  test.each([7, 3, 1])(
    'attends as a tensor of its scores does, for %d queries',
    async (queries) => {
      using backend = await createWebGpuBackend({ gpu: softwareGpu() })
      const inputs = contentInputs(queries)
      await expectAttention(backend, byTerms(claim, inputs), byScores(claim, inputs), claim.name, 'wgsl')
    },
    60_000,
  )
})
