import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  QkvError,
  broadcastTo,
  isContiguous,
  mergeHeads,
  permute,
  reshape,
  roundTo,
  slice,
  splitHeads,
  tensor,
  toFloat32,
  toFloat64,
  zeros,
  type Dtype,
  type HostTensor,
} from '@qkv/core'

const counting = (count: number): Float32Array => Float32Array.from({ length: count }, (_, index) => index)

/** The element at indices, by definition. */
function at(view: HostTensor, ...indices: number[]): number {
  return Number(view.storage[indices.reduce((sum, index, axis) => sum + index * (view.strides[axis] ?? NaN), view.offset)])
}

/** All elements in row-major order, by definition. */
function elements(view: HostTensor): number[] {
  const walk = (indices: number[]): number[] =>
    indices.length === view.shape.length
      ? [at(view, ...indices)]
      : Array.from({ length: view.shape[indices.length] ?? 0 }, (_, index) => walk([...indices, index])).flat()
  return walk([])
}

describe('a tensor is a view of an array', () => {
  it.each([
    ['float32', new Float32Array(2)],
    ['int8', new Int8Array(2)],
    ['uint8', new Uint8Array(2)],
    ['int32', new Int32Array(2)],
    ['float32', [1, 2]],
    ['bool', [true, false]],
  ] as const)('%s, as its array says', (dtype, data) => {
    expect(tensor(data, [2]).dtype).toBe(dtype)
  })

  it('does not copy a typed array', () => {
    const data = new Float32Array(6)
    expect(tensor(data, [2, 3]).storage).toBe(data)
  })

  it('takes half bits by name, and a Float16Array where there is one', () => {
    expect(toFloat32(tensor(new Uint16Array([0x3c00, 0xc000]), [2], { dtype: 'float16' }))).toEqual(new Float32Array([1, -2]))
    const Half = (globalThis as { Float16Array?: new (values: number[]) => ArrayBufferView }).Float16Array
    if (Half) expect(toFloat32(tensor(new Half([0.5]), [1]))).toEqual(new Float32Array([0.5]))
  })

  it('of any shape has as many zeros', () => {
    expect(zeros([2, 0, 3]).storage).toHaveLength(0)
    expect(zeros([2, 3], 'int8').storage).toEqual(new Int8Array(6))
  })

  it.each([
    ['too few elements', () => tensor(new Float32Array(5), [2, 3]), 'SHAPE_MISMATCH', /within its storage of 5 elements/],
    ['an offset beyond', () => tensor(new Float32Array(6), [6], { offset: 1 }), 'SHAPE_MISMATCH', /reach elements 1 to 6/],
    ['a fractional offset', () => tensor(new Float32Array(6), [2], { offset: 0.5 }), 'SHAPE_MISMATCH', /within its storage/],
    [
      'strides before the start',
      () => tensor(new Float32Array(6), [6], { strides: [-1] }),
      'SHAPE_MISMATCH',
      /reach elements -5 to 0/,
    ],
    [
      'strides of another rank',
      () => tensor(new Float32Array(6), [6], { strides: [1, 1] }),
      'SHAPE_MISMATCH',
      /a whole number for each dimension of \[6\]/,
    ],
    [
      'a fractional stride',
      () => tensor(new Float32Array(6), [2], { strides: [1.5] }),
      'SHAPE_MISMATCH',
      /tensor: shape.strides must be/,
    ],
    [
      'a negative size',
      () => tensor(new Float32Array(6), [-1]),
      'SHAPE_MISMATCH',
      /an array of whole numbers ≥ 0; received \[-1\]/,
    ],
    ['a size that is no number', () => zeros([NaN]), 'SHAPE_MISMATCH', /zeros: shape/],
    ['a product beyond what is safe', () => tensor(new Float32Array(0), [2 ** 40, 2 ** 40]), 'SHAPE_MISMATCH', /whole numbers/],
    [
      'half bits without a dtype',
      () => tensor(new Uint16Array(2), [2]),
      'DTYPE_UNSUPPORTED',
      /Uint16Array with dtype float16 or bfloat16/,
    ],
    [
      'an array of another dtype',
      () => tensor(new Float32Array(2), [2], { dtype: 'int8' }),
      'DTYPE_UNSUPPORTED',
      /what holds int8/,
    ],
    [
      'a fraction as a whole number',
      () => tensor([1, 1.5], [2], { dtype: 'int32' }),
      'OPTION_INVALID',
      /data\[1\] must be a number that int32 holds; received 1.5/,
    ],
    ['a number beyond a byte', () => tensor([300], [1], { dtype: 'uint8' }), 'OPTION_INVALID', /data\[0\] .*uint8.*received 300/],
    ['numbers as halves', () => tensor([1, 2], [2], { dtype: 'float16' }), 'DTYPE_UNSUPPORTED', /what holds float16/],
  ])('refuses %s', (_, make, code, message) => {
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })
})

describe('views copy nothing', () => {
  const view = tensor(counting(24), [2, 3, 4])

  it('permute, slice, reshape, broadcastTo and splitHeads see the same elements', () => {
    expect(elements(permute(view, [2, 0, 1]))).toEqual(toFloats(permute(view, [2, 0, 1])))
    expect(at(permute(view, [2, 0, 1]), 3, 1, 2)).toBe(at(view, 1, 2, 3))
    expect(elements(slice(view, 1, 1, 3))).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23])
    expect(elements(slice(view, 0, 1, 1))).toEqual([])
    expect(reshape(view, [6, 4]).strides).toEqual([4, 1])
    expect(elements(broadcastTo(tensor(counting(2), [2, 1]), [3, 2, 2]))).toEqual([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1])
    for (const made of [permute(view, [2, 0, 1]), slice(view, 1, 1, 3), reshape(view, [24])])
      expect(made.storage).toBe(view.storage)
  })

  it('heads split and merge back', () => {
    const joined = tensor(counting(24), [2, 3, 4])
    const split = splitHeads(joined, 2)
    expect(split.shape).toEqual([2, 2, 3, 2])
    expect(at(split, 1, 1, 2, 0)).toBe(at(joined, 1, 2, 2))
    expect(mergeHeads(split)).toEqual(joined)
  })

  it('knows what lies without gaps', () => {
    expect([view, slice(view, 0, 0, 1), permute(view, [1, 0, 2]), slice(view, 2, 0, 2)].map(isContiguous)).toEqual([
      true,
      true,
      false,
      false,
    ])
  })

  it.each([
    ['permute', () => permute(view, [0, 0, 1])],
    ['permute', () => permute(view, [0, 1])],
    ['slice', () => slice(view, 3, 0, 1)],
    ['slice', () => slice(view, 0, 0, 3)],
    ['slice', () => slice(view, 0, 2, 1)],
    ['slice', () => slice(view, 0, NaN, 1)],
    ['reshape', () => reshape(view, [5, 5])],
    ['reshape', () => reshape(permute(view, [1, 0, 2]), [24])],
    ['broadcastTo', () => broadcastTo(view, [2, 3, 5])],
    ['broadcastTo', () => broadcastTo(view, [3, 4])],
    ['splitHeads', () => splitHeads(view, 3)],
    ['splitHeads', () => splitHeads(view, 0.5)],
    ['splitHeads', () => splitHeads(slice(permute(view, [0, 1, 2]), 0, 0, 1), 0)],
    ['mergeHeads', () => mergeHeads(tensor(counting(24), [1, 2, 3, 4]))],
  ])('%s refuses what does not fit', (operation, make) => {
    expect(make).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH', operation: operation === 'mergeHeads' ? 'reshape' : operation }),
    )
  })
})

describe('conversion gathers through any strides', () => {
  const layout = fc
    .array(fc.integer({ min: 0, max: 4 }), { maxLength: 5 })
    .chain((shape) =>
      fc.record({ shape: fc.constant(shape), strides: fc.tuple(...shape.map(() => fc.integer({ min: -5, max: 7 }))) }),
    )

  it('in row-major order, whatever the dtype', () => {
    fc.assert(
      fc.property(layout, fc.constantFrom<Dtype>('float32', 'int8', 'uint8', 'int32', 'bool'), ({ shape, strides }, dtype) => {
        const reach = shape.map((size, axis) => (size - 1) * (strides[axis] ?? 0))
        const offset = -reach.reduce((low, span) => low + Math.min(0, span), 0)
        const length = offset + reach.reduce((high, span) => high + Math.max(0, span), 0) + 1
        if (shape.includes(0) || length < 1) return
        const view = tensor(
          roundTo(
            counting(length).map((value) => value % 100),
            dtype,
          ),
          shape,
          { dtype, strides, offset },
        )
        expect(toFloats(view)).toEqual(elements(view))
        expect([...toFloat32(view)]).toEqual(elements(view))
      }),
    )
  })

  it('of truths takes any byte but 0 for true', () => {
    expect([...toFloat32(tensor(new Uint8Array([0, 1, 255]), [3], { dtype: 'bool' }))]).toEqual([0, 1, 1])
  })

  it('of numbers rounds once, to nearest even, into the dtype’s range', () => {
    expect([...roundTo([0.5, 1.5, 2.5, -0.5, -1.5, 300, -300, NaN, Infinity], 'int8')]).toEqual([0, 2, 2, 0, -2, 127, -128, 0, 127])
    expect([...roundTo([-1, 256, 254.5], 'uint8')]).toEqual([0, 255, 254])
    expect([...roundTo([0, 3, NaN], 'bool')]).toEqual([0, 1, 1])
    expect([...roundTo([1 + 2 ** -25], 'float32')]).toEqual([1])
  })
})

function toFloats(view: HostTensor): number[] {
  return [...toFloat64(view)]
}

describe('an error', () => {
  it('is recognised across copies of this package, and says what an argument must be and was', () => {
    const error = new QkvError({
      code: 'OPTION_INVALID',
      operation: 'attention',
      argument: 'scale',
      expected: 'a finite number',
      received: 'NaN',
    })
    const foreign = Object.assign(new Error('x'), { [Symbol.for('@qkv/error')]: true })
    expect([error, foreign, new Error('x'), null, 'x'].map(QkvError.is)).toEqual([true, true, false, false, false])
    expect(error.message).toBe('attention: scale must be a finite number; received NaN')
  })
})
