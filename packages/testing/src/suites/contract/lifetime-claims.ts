import { zeros } from '@qkv/core'
import { describe, expect, test } from 'vitest'
import { codeOf, expectRejection, smallProblem, type ContractChecks } from './checks.ts'

/** A backend knows its own tensors, and after its end it refuses everything. */
export function lifetimeClaims({ backend, makeBackend, expectRefusal }: ContractChecks): void {
  describe('two backends', () => {
    test('do not take each other’s tensors', async () => {
      const other = await makeBackend()
      const theirs = other.upload(zeros([1, 2, 5, 4]))
      expectRefusal('OPTION_INVALID', 'key', () => backend().attention({ ...smallProblem(), key: theirs }))
      expectRefusal('OPTION_INVALID', 'input', () => backend().activate(theirs, 'relu'))
      theirs.dispose()
      other.dispose()
    })
  })

  describe('after dispose', () => {
    test('every call throws DISPOSED, tensors can still be given back, and disposing again does nothing', async () => {
      const gone = await makeBackend()
      const held = gone.empty([4])
      const { output, lse } = gone.attention(smallProblem(), { lse: true })
      gone.dispose()
      gone.dispose()
      gone[Symbol.dispose]()
      const f = zeros([1, 2, 4, 4])
      for (const call of [
        () => gone.attention(smallProblem()),
        () => gone.attentionGradient(smallProblem(), { output, lse: lse! }, f),
        () => gone.merge([{ output, lse: lse! }]),
        () => gone.linear(f, zeros([4, 4])),
        () => gone.rmsNorm(f, zeros([4]), 1e-5),
        () => gone.layerNorm(f, zeros([4]), undefined, 1e-5),
        () => gone.activate(f, 'relu'),
        () => gone.add(f, f),
        () => gone.multiply(f, f),
        () => gone.gather(zeros([4, 4]), zeros([2], 'int32')),
        () => gone.copy(zeros([4]), held),
        () => gone.quantize(f, held, held),
        () => gone.rotate(f, { cos: zeros([4, 2]), sin: zeros([4, 2]), layout: 'half', dim: 4 }),
        () => gone.empty([3]),
        () => gone.upload(f),
      ]) {
        expect(codeOf(call), String(call)).toBe('DISPOSED')
      }
      await expectRejection('DISPOSED', 'backend', gone.read(held))
      await expectRejection('DISPOSED', 'backend', gone.attentionInSteps(smallProblem(), {}))
      for (const tensor of [held, output, lse!]) tensor.dispose()
    })
  })
}
