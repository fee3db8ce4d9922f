import { isFloat, permute, roundTo, slice, tensor, toFloat64, zeros, type Dtype } from '@qkv/core'
import { expect, test } from 'vitest'
import { floatDtypes } from '../../problem-token.ts'
import { take } from '../suite.ts'
import { rowsOf, type Case } from './case.ts'
import type { LayerChecks } from './checks.ts'

/** What moves elements, by index or into place. */
export function copyClaims({ backend, forRandomCases, expectExactly }: LayerChecks): void {
  forRandomCases('gather takes rows by index', async (current) => {
    const [rows, dim] = [current.size(40), current.size(33)]
    const dtype = current.kind.pick(['float32', 'float16', 'int8'] as const)
    const table = current.place(current.numbers([rows, dim], 3), [rows, dim], dtype)
    const shape = current.leading()
    const indices = current.place(
      Float64Array.from({ length: rowsOf(shape) }, () => current.stream.integer(0, rows - 1)),
      shape,
      'int32',
    )
    const result = backend().gather(table, indices)
    expect([result.dtype, ...result.shape]).toEqual([dtype, ...shape, dim])
    const [all, at] = [toFloat64(table), toFloat64(indices)]
    const expected = Float64Array.from(
      { length: at.length * dim },
      (_, index) => all[at[Math.floor(index / dim)]! * dim + (index % dim)]!,
    )
    await expectExactly(result, expected, current)
  })

  forRandomCases(
    'copy converts dtypes and writes nothing but the target',
    async (current) => {
      const shape = [current.size(2), current.size(3), current.length(9), current.size(20)]
      const [from, to] = copiedDtypes(current)
      const source = current.place(current.numbers(shape, 5), shape, from)
      const whole = backend().upload(
        tensor(roundTo(new Float64Array(rowsOf(shape) + 50).fill(7), to), [rowsOf(shape) + 50], { dtype: to }),
      )
      const axes = current.stream.pick([
        [0, 1, 2, 3],
        [0, 2, 1, 3],
        [1, 0, 3, 2],
      ])
      const within = { ...zeros(axes.map((axis) => shape[axis]!)), dtype: to, offset: 25, storage: whole.storage }
      backend().copy(source, permute(within, inverse(axes)))
      const expected = new Float64Array(rowsOf(shape) + 50).fill(7)
      expected.set(toFloat64(tensor(roundTo(toFloat64(permute(source, axes)), to), [rowsOf(shape)], { dtype: to })), 25)
      await expectExactly(whole, expected, current)
    },
    2500,
  )

  test('copy between overlapping views of one tensor reads before it writes', async () => {
    const rows = (first: number, end: number): number[] =>
      Array.from({ length: 4 * (end - first) }, (_, index) => 4 * first + index)
    const held = backend().upload(tensor(Float32Array.from(rows(0, 9)), [9, 4]))
    backend().copy(slice(held, 0, 0, 7), slice(held, 0, 1, 8))
    expect(await take(backend(), held)).toEqual(Float64Array.from([...rows(0, 1), ...rows(0, 7), ...rows(8, 9)]))
  })
}

const dtypes: readonly Dtype[] = ['float32', 'float16', 'bfloat16', 'int8', 'int32']

/** From a float to whole numbers, back, and between whole numbers. */
const conversions = dtypes.flatMap((from) =>
  dtypes.filter((to) => to !== from && !(isFloat(from) && isFloat(to))).map((to) => [from, to] as const),
)

/** Most cases are what caches do: floats to floats, or no conversion. Every ninth is the next of the conversions, so that each is sure. */
function copiedDtypes({ number, kind }: Case): readonly [from: Dtype, to: Dtype] {
  if (number % 9 === 8) return conversions[((number - 8) / 9) % conversions.length]!
  const from = kind.pick(dtypes)
  return [from, isFloat(from) ? kind.pick(floatDtypes) : from]
}

function inverse(axes: readonly number[]): number[] {
  return axes.map((_, axis) => axes.indexOf(axis))
}
