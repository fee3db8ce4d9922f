import { capture, problem, scalar, scoreMod, zeros } from '@qkv/core'
import { describe, expect, test } from 'vitest'
import { takeResult } from '../suite.ts'
import { codeOf, expectRejection, normal, smallProblem, type ContractChecks } from './checks.ts'

/** What attention, at once or in steps, its gradient and merging return, and what they refuse. */
export function attentionClaims({ backend, live, expectRefusal }: ContractChecks): void {
  describe('attention', () => {
    test('the output has the query’s dtype and its order of axes in memory; lse is float32', async () => {
      for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
        const query = { ...zeros([2, 3, 5, 4], dtype), strides: [60, 4, 12, 1] }
        const { output, lse } = backend().attention(problem(query, zeros([2, 3, 6, 4]), zeros([2, 3, 6, 8])), { lse: true })
        expect([output.dtype, ...output.shape]).toEqual([dtype, 2, 3, 5, 8])
        expect(output.strides).toEqual([120, 8, 24, 1])
        expect([lse?.dtype, ...(lse?.shape ?? [])]).toEqual(['float32', 2, 3, 5])
        output.dispose()
        lse?.dispose()
      }
    })

    test('lse comes only when it was asked for', () => {
      const { output, lse } = backend().attention(smallProblem())
      expect(lse).toBeUndefined()
      output.dispose()
    })

    test('tensors that were disposed of are refused, by name', () => {
      const gone = backend().upload(normal([1, 2, 5, 4]))
      gone.dispose()
      for (const name of ['query', 'key', 'value'] as const) {
        expectRefusal('DISPOSED', name, () => backend().attention({ ...smallProblem(), [name]: gone }))
      }
    })

    test('an index that a scalar has moved out of a captured tensor is refused, by every way to compute', async () => {
      const shift = scalar('shift', 0, 'int')
      const table = capture(zeros([5]))
      const score = scoreMod((score, { key }) => score.add(table.at(key.add(shift))))
      const { query, key, value } = smallProblem()
      const asked = problem(query, key, value, { score })
      const { output, lse } = backend().attention(asked, { lse: true })
      shift.value = 1
      const index = /^score's index 0 into a captured tensor \[5\], key \+ shift/
      expectRefusal('EXPRESSION_REJECTED', index, () => backend().attention(asked))
      expectRefusal('EXPRESSION_REJECTED', index, () => backend().attentionGradient(asked, { output, lse: lse! }, output))
      await expectRejection('EXPRESSION_REJECTED', index, backend().attentionInSteps(asked, {}))
      output.dispose()
      lse?.dispose()
    })
  })

  describe('attention in steps', () => {
    test('gives the bits that attention gives, and progress that ends at 1', async () => {
      const asked = problem(normal([1, 3, 200, 16]), normal([1, 3, 300, 16]), normal([1, 3, 300, 16]), { causal: true })
      const progress: number[] = []
      const stepped = await backend().attentionInSteps(asked, { lse: true, onProgress: (fraction) => progress.push(fraction) })
      expect(await takeResult(backend(), stepped)).toEqual(await takeResult(backend(), backend().attention(asked, { lse: true })))
      expect(progress.at(-1)).toBe(1)
      expect(progress).toEqual(progress.toSorted((a, b) => a - b))
    })

    test('an aborted signal stops it before and during, and nothing is left behind', async () => {
      const before = live()
      const asked = problem(normal([1, 8, 400, 32]), normal([1, 8, 1600, 32]), normal([1, 8, 1600, 32]))
      await expectRejection('ABORTED', 'signal', backend().attentionInSteps(asked, { signal: AbortSignal.abort() }))
      const controller = new AbortController()
      const stopped = backend().attentionInSteps(asked, { signal: controller.signal, onProgress: () => controller.abort() })
      await expectRejection('ABORTED', 'signal', stopped)
      expect(live()).toBe(before)
    })

    test('an error thrown by onProgress comes back, and nothing is left behind', async () => {
      const before = live()
      const failing = backend().attentionInSteps(smallProblem(), {
        onProgress: () => {
          throw new Error('mine')
        },
      })
      await expect(failing).rejects.toThrow('mine')
      expect(live()).toBe(before)
    })
  })

  describe('gradient', () => {
    test('shapes that do not fit the problem are refused', () => {
      const { output, lse } = backend().attention(smallProblem(), { lse: true })
      const forward = { output, lse: lse! }
      expectRefusal('SHAPE_MISMATCH', 'dOutput', () => backend().attentionGradient(smallProblem(), forward, zeros([1, 2, 3, 3])))
      expectRefusal('SHAPE_MISMATCH', 'forward.lse', () =>
        backend().attentionGradient(smallProblem(), { ...forward, lse: zeros([1, 2, 4]) }, zeros([1, 2, 3, 4])),
      )
      output.dispose()
      lse?.dispose()
    })
  })

  describe('merge', () => {
    test('no parts, and parts of different shapes, are refused', () => {
      const part = (rows: number) => ({ output: zeros([1, 2, rows, 4]), lse: zeros([1, 2, rows]) })
      expectRefusal('OPTION_INVALID', 'partials', () => backend().merge([]))
      expect(codeOf(() => backend().merge([part(3), part(4)]))).toBe('SHAPE_MISMATCH')
    })
  })
}
