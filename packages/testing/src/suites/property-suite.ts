import { describe, test } from 'vitest'
import { drawTokens } from '../draw-token.ts'
import { randomProblem } from '../problems.ts'
import { random } from '../random.ts'
import type { Claims } from './properties/claims.ts'
import { equivalenceClaims } from './properties/equivalence.ts'
import { invarianceClaims } from './properties/invariance.ts'
import { notFiniteClaims } from './properties/not-finite.ts'
import { heldBackend, problemCount, type Suite } from './suite.ts'

/** Properties of attention that need no reference, or one of another problem. */
export function propertySuite(suite: Suite): void {
  describe('properties of attention', { timeout: 600_000 }, () => {
    const { platform = 'cpu' } = suite
    const claims: Claims = {
      backend: heldBackend(suite),
      platform,
      forRandomProblems(name, limits, check, count = 40) {
        test(name, async () => {
          const drawn = { work: 2 ** 13, ...suite.limits, ...limits }
          for (const token of drawTokens({ count: problemCount(suite, count), seed: 7, limits: drawn })) {
            const { problem, spec } = randomProblem(token)
            await check({ problem, token, stream: random(spec.seed, name) })
          }
        })
      },
    }
    invarianceClaims(claims)
    equivalenceClaims(claims)
    // WGSL promises nothing of what is not finite.
    if (platform === 'cpu') notFiniteClaims(claims)
  })
}
