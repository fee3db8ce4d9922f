import { describe, expect, it } from 'vitest'
import { random } from '@qkv/testing'
import { contiguousStrides, elementCount, roundTo, tensor, toFloat64, type Dtype, type HostTensor } from '@qkv/core'
import { capturedRange } from '../../src/expression/range/captured-range.ts'

const dtypes: readonly Dtype[] = ['float32', 'float16', 'int32', 'int8', 'bool']

describe('the extremes of a box of a captured tensor', () => {
  it('are those of its elements, for boxes of any size and strides in any order', () => {
    for (let seed = 0; seed < 800; seed++) {
      const stream = random(seed, 'captured range')
      const shape = stream.pick([[], [1], [16], [17], [33], [150], [1100], [5, 70], [40, 33], [16, 16], [3, 20, 18]])
      const dtype = stream.pick(dtypes)
      const hasNaN = dtype === 'float32' && stream.chance(0.2)
      const values = Float64Array.from({ length: elementCount(shape) }, () =>
        hasNaN && stream.chance(0.02) ? NaN : stream.integer(-90, 90),
      )
      const view = reversed(tensor(roundTo(values, dtype), shape, { dtype }), stream.chance(0.3))
      const range = capturedRange(
        view,
        shape.map(() => stream.chance(0.8)),
      )
      for (let box = 0; box < 3; box++) {
        const first = shape.map((size) => stream.integer(0, size - 1))
        const last = shape.map((size, axis) => stream.integer(first[axis] ?? 0, size - 1))
        const [low, high] = extremes(view, first, last)
        range.find([...first], [...last])
        expect([range.low, range.high], `seed ${seed}, box ${first} to ${last} of [${shape}]`).toEqual([low, high])
      }
    }
  })
})

/** The same memory, read backwards along the first axis. */
function reversed(view: HostTensor, really: boolean): HostTensor {
  const [stride = 0, ...rest] = view.strides
  return really && view.shape.length > 0
    ? { ...view, strides: [-stride, ...rest], offset: stride * ((view.shape[0] ?? 1) - 1) }
    : view
}

function extremes(view: HostTensor, first: readonly number[], last: readonly number[]): [number, number] {
  const sizes = first.map((from, axis) => (last[axis] ?? 0) - from + 1)
  const strides = contiguousStrides(sizes)
  let [low, high] = [Infinity, -Infinity]
  for (let element = 0; element < elementCount(sizes); element++) {
    const at = view.shape.reduce(
      (sum, _, axis) =>
        sum + (view.strides[axis] ?? 0) * ((first[axis] ?? 0) + (Math.floor(element / (strides[axis] ?? 1)) % (sizes[axis] ?? 1))),
      view.offset,
    )
    const stored = tensor(view.storage, [1], { dtype: view.dtype, offset: at })
    const value = decode(stored)
    if (Number.isNaN(value)) return [-Infinity, Infinity]
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  return [low, high]
}

function decode(view: HostTensor): number {
  const [value = NaN] = toFloat64(view)
  return value
}
