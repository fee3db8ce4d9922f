import { describe, expect, test } from 'vitest'
import { attentionClaims } from './contract/attention-claims.ts'
import { makeChecks } from './contract/checks.ts'
import { layerClaims } from './contract/layer-claims.ts'
import { lifetimeClaims } from './contract/lifetime-claims.ts'
import { memoryClaims } from './contract/memory-claims.ts'
import type { Suite } from './suite.ts'

/** What every backend promises besides numbers: who owns what, what is refused and how, and what a refusal leaves behind. */
export function contractSuite(suite: Suite): void {
  describe('contract', { timeout: 120_000 }, () => {
    const checks = makeChecks(suite)
    memoryClaims(checks)
    attentionClaims(checks)
    layerClaims(checks)
    lifetimeClaims(checks)

    test('a description says in one line what it runs on', () => {
      const { description, name } = checks.backend()
      expect(description).toMatch(/^\S.*\S$/)
      expect(name).toMatch(/^[a-z]+$/)
    })
  })
}
