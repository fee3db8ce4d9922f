import { createCpuBackend } from '@qkv/cpu'
import { afterAll, beforeAll, describe } from 'vitest'
import { attentionClaims } from './claims/attention.ts'
import { cacheClaims } from './claims/caches.ts'
import { multiHeadClaims } from './claims/multi-head.ts'
import type { Subject } from './claims/subject.ts'

describe('on the CPU', () => {
  let subject: Subject
  beforeAll(async () => {
    subject = { backend: await createCpuBackend(), platform: 'cpu' }
  })
  afterAll(() => subject.backend.dispose())

  describe('attention', () => attentionClaims(() => subject))
  describe('MultiHeadAttention', () => multiHeadClaims(() => subject))
  describe('caches', () => cacheClaims(() => subject))
})
