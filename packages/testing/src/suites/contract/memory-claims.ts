import { dtypes, tensor, toFloat64, zeros } from '@qkv/core'
import { describe, expect, test } from 'vitest'
import { guarded, layouts } from '../../guarded.ts'
import { random } from '../../random.ts'
import { take } from '../suite.ts'
import { expectRejection, type ContractChecks } from './checks.ts'

/** What is put into a backend’s memory comes out as it was, and memory is given back once. */
export function memoryClaims({ backend, live, expectRefusal }: ContractChecks): void {
  describe('memory', () => {
    test('what is uploaded is read back, whatever its dtype and layout', async () => {
      for (const dtype of dtypes) {
        for (const layout of layouts) {
          const stream = random(1, `${dtype} ${layout}`)
          const { tensor } = guarded(
            Float64Array.from({ length: 210 }, () => 3 * stream.normal()),
            [2, 3, 5, 7],
            dtype,
            layout,
            stream,
          )
          expect(await take(backend(), backend().upload(tensor)), `${dtype} ${layout}`).toEqual(toFloat64(tensor))
          expect(toFloat64({ ...zeros([210], dtype), storage: await backend().read(tensor) }), `${dtype} ${layout}`).toEqual(
            toFloat64(tensor),
          )
        }
      }
    })

    test('an empty tensor is zero, also where another was before', async () => {
      backend()
        .upload(tensor(new Float32Array(1000).fill(NaN), [1000]))
        .dispose()
      expect(await take(backend(), backend().empty([10, 100]))).toEqual(new Float64Array(1000))
      for (const dtype of dtypes) expect(await take(backend(), backend().empty([3, 5], dtype))).toEqual(new Float64Array(15))
    })

    test('tensors without elements are tensors', async () => {
      expect(await take(backend(), backend().empty([0, 4]))).toEqual(new Float64Array(0))
      expect(await take(backend(), backend().upload(zeros([3, 0])))).toEqual(new Float64Array(0))
    })

    test('what is read is a copy', async () => {
      const held = backend().upload(tensor([1, 2, 3], [3]))
      const read = await backend().read(held)
      read.fill(7)
      expect(await take(backend(), held)).toEqual(Float64Array.from([1, 2, 3]))
    })

    test('disposing twice is disposing once', () => {
      const before = live()
      const first = backend().empty([8])
      first.dispose()
      const second = backend().empty([8])
      first.dispose()
      first[Symbol.dispose]()
      expect(live()).toBe(before === undefined ? undefined : before + 1)
      second.dispose()
      expect(live()).toBe(before)
    })

    test('shapes and dtypes that are none are refused', async () => {
      expectRefusal('SHAPE_MISMATCH', 'shape', () => backend().empty([2, -1]))
      expectRefusal('SHAPE_MISMATCH', 'shape', () => backend().empty([1.5]))
      expectRefusal('DTYPE_UNSUPPORTED', 'dtype', () => backend().empty([2], 'float64' as 'float32'))
      expectRefusal('SHAPE_MISMATCH', 'tensor', () => backend().upload({ ...zeros([2]), shape: [5] }))
      await expectRejection('SHAPE_MISMATCH', 'tensor', backend().read({ ...zeros([2]), shape: [5] }))
    })
  })
}
