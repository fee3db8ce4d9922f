import { softwareGpu } from '@qkv/testing/software-gpu'
import { createWebGpuBackend } from '@qkv/webgpu'
import { afterAll, beforeAll, describe, vi } from 'vitest'
import { attentionPackageClaims } from './claims/index.ts'
import type { Subject } from './claims/subject.ts'

vi.setConfig({ testTimeout: 120_000 })

describe('on the GPU', () => {
  let subject: Subject
  beforeAll(async () => {
    subject = { backend: await createWebGpuBackend({ gpu: softwareGpu() }), platform: 'wgsl' }
  })
  afterAll(() => subject.backend.dispose())

  attentionPackageClaims(() => subject)
})
