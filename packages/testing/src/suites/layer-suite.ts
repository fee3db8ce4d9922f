import { zeros, type HostTensor } from '@qkv/core'
import { describe, expect, test } from 'vitest'
import { layerChecks } from './layers/checks.ts'
import { copyClaims } from './layers/copy-claims.ts'
import { elementwiseClaims } from './layers/elementwise-claims.ts'
import { linearClaims } from './layers/linear-claims.ts'
import { mergeClaims } from './layers/merge-claims.ts'
import { normClaims } from './layers/norm-claims.ts'
import { quantizeClaims } from './layers/quantize-claims.ts'
import { rotateClaims } from './layers/rotate-claims.ts'
import { heldBackend, type Suite } from './suite.ts'

/**
 * The operations around attention against their formulas in float64, over random shapes, dtypes and layouts in guarded
 * memory. Bounds are those of float32 arithmetic: γ(n) of the magnitudes that are summed, and rounding to the dtype.
 */
export function layerSuite(suite: Suite): void {
  describe('layer operations', { timeout: 600_000 }, () => {
    const backend = heldBackend(suite)
    const checks = layerChecks(suite, backend)
    linearClaims(checks)
    normClaims(checks)
    elementwiseClaims(checks)
    copyClaims(checks)
    quantizeClaims(checks)
    rotateClaims(checks)
    mergeClaims(checks)

    for (const [name, run] of [
      ['linear', (input: HostTensor) => backend().linear(input, zeros([3, 4]))],
      ['rmsNorm', (input: HostTensor) => backend().rmsNorm(input, zeros([4]), 1e-5)],
      ['activate', (input: HostTensor) => backend().activate(input, 'silu')],
      ['add', (input: HostTensor) => backend().add(input, zeros([4]))],
    ] as const) {
      test(`${name} of no rows is empty`, () => {
        const result = run(zeros([0, 4]))
        expect(result.shape[0]).toBe(0)
        result.dispose()
      })
    }
  })
}
