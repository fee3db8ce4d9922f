import { createCpuBackend } from '@qkv/cpu'
import { afterAll, beforeAll, describe } from 'vitest'
import { attentionPackageClaims } from './claims/index.ts'
import type { Subject } from './claims/subject.ts'

describe('on the CPU', () => {
  let subject: Subject
  beforeAll(async () => {
    subject = { backend: await createCpuBackend(), platform: 'cpu' }
  })
  afterAll(() => subject.backend.dispose())

  attentionPackageClaims(() => subject)
})
