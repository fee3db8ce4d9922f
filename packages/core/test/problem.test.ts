import { describe, expect, it } from 'vitest'
import {
  maskMod,
  problem,
  tensor,
  zeros,
  type AttentionProblem,
  type Dtype,
  type HostTensor,
  type ProblemOptions,
  type Tensor,
} from '@qkv/core'

/** [2, 4, 5, 8] queries over [2, 2, 7, 8] keys. */
function make(options: ProblemOptions = {}, changed: { query?: Tensor; key?: Tensor; value?: Tensor } = {}): AttentionProblem {
  const { query = zeros([2, 4, 5, 8]), key = zeros([2, 2, 7, 8]), value = zeros([2, 2, 7, 8]) } = changed
  return problem(query, key, value, options)
}

const onDevice = (view: HostTensor): Tensor => ({
  ...view,
  storage: { owner: Symbol('device'), byteLength: view.storage.byteLength },
})
const int8 = { key: zeros([2, 2, 7, 8], 'int8'), value: zeros([2, 2, 7, 8], 'int8') }
const int4 = { key: zeros([2, 2, 7, 4], 'uint8'), value: zeros([2, 2, 7, 4], 'uint8') }
const scales = zeros([2, 2, 7, 2])

describe('a problem', () => {
  it('says what was asked, with every default filled in', () => {
    expect(make()).toMatchObject({
      batch: 2,
      queryHeads: 4,
      keyHeads: 2,
      group: 2,
      queryLength: 5,
      keyLength: 7,
      headDim: 8,
      valueDim: 8,
      scale: 1 / Math.sqrt(8),
      softcap: 0,
      causal: false,
      alignment: 'lower-right',
      window: { left: Infinity, right: Infinity },
      bias: undefined,
      mask: undefined,
      maskMod: undefined,
      scoreMod: undefined,
      sinks: undefined,
      lengths: undefined,
      keyScales: undefined,
      valueScales: undefined,
      dropout: undefined,
    })
    expect(Object.isFrozen(make())).toBe(true)
  })

  it('has one spelling for everything', () => {
    expect(make({ causal: true })).toMatchObject({ causal: true, alignment: 'lower-right' })
    expect(make({ causal: 'upper-left' })).toMatchObject({ causal: true, alignment: 'upper-left' })
    expect(make({ window: { left: 3 } }).window).toEqual({ left: 3, right: Infinity })
    expect(make({ mask: zeros([7]) })).toMatchObject({ mask: undefined, bias: { shape: [2, 4, 5, 7], strides: [0, 0, 0, 1] } })
    expect(make({ mask: zeros([2, 1, 5, 7], 'bool') }).mask).toMatchObject({ shape: [2, 4, 5, 7], strides: [35, 0, 7, 1] })
    expect(make({ sinks: [1, 2, 3, 4] }).sinks).toMatchObject({ dtype: 'float32', shape: [4] })
    expect(make({ lengths: [7, 0] }).lengths).toMatchObject({ dtype: 'int32', shape: [2] })
    expect(make({ dropout: { probability: 0, seed: 1 } }).dropout).toBeUndefined()
  })

  it('takes keys and values of other dtypes than the queries, quantised ones with their scales', () => {
    const half = zeros([2, 2, 7, 8], 'float16')
    expect(make({}, { key: half, value: half }).headDim).toBe(8)
    expect(make({ keyScales: scales, valueScales: zeros([2, 2, 7, 1]) }, int8)).toMatchObject({
      headDim: 8,
      valueDim: 8,
      keyScales: scales,
    })
    expect(make({ keyScales: scales, valueScales: scales }, int4)).toMatchObject({ headDim: 8, valueDim: 8 })
  })

  it('takes tensors in a backend’s memory, whose contents it cannot see', () => {
    const lengths = onDevice(tensor(new Int32Array(2), [2]))
    expect(make({ lengths }, { query: onDevice(zeros([2, 4, 5, 8])) }).lengths).toBe(lengths)
  })

  it('may be empty in any size', () => {
    expect(problem(zeros([0, 4, 5, 8]), zeros([0, 2, 7, 8]), zeros([0, 2, 7, 3])).batch).toBe(0)
    expect(problem(zeros([2, 4, 0, 8]), zeros([2, 2, 0, 8]), zeros([2, 2, 0, 3])).valueDim).toBe(3)
    expect(problem(zeros([2, 0, 5, 8]), zeros([2, 0, 7, 8]), zeros([2, 0, 7, 8])).group).toBe(1)
    expect(problem(zeros([1, 1, 1, 0]), zeros([1, 1, 1, 0]), zeros([1, 1, 1, 0])).scale).toBe(1)
  })
})

describe('what is wrong is refused, naming the argument, what was expected and what came', () => {
  const cases: readonly (readonly [string, () => unknown, string, RegExp])[] = [
    [
      'a query that is no tensor',
      () => problem([1, 2] as never, zeros([1, 1, 1, 1]), zeros([1, 1, 1, 1])),
      'OPTION_INVALID',
      /query must be a tensor .*; received \[1,2\]/,
    ],
    [
      'no query',
      () => problem(undefined as never, zeros([1, 1, 1, 1]), zeros([1, 1, 1, 1])),
      'OPTION_INVALID',
      /query must be a tensor .*; received undefined/,
    ],
    [
      'no value',
      () => problem(zeros([1, 1, 1, 1]), zeros([1, 1, 1, 1]), null as never),
      'OPTION_INVALID',
      /value must be a tensor .*; received null/,
    ],
    [
      'three axes',
      () => make({}, { query: zeros([4, 5, 8]) }),
      'SHAPE_MISMATCH',
      /query must be four axes, \[batch, heads, length, dim\]; received \[4,5,8\]/,
    ],
    ['a key of three axes', () => make({}, { key: zeros([4, 5, 8]) }), 'SHAPE_MISMATCH', /key must be four axes/],
    [
      'integer queries',
      () => make({}, { query: zeros([2, 4, 5, 8], 'int8') }),
      'DTYPE_UNSUPPORTED',
      /query must be float32, float16 or bfloat16; received int8/,
    ],
    [
      'boolean keys',
      () => make({}, { key: zeros([2, 2, 7, 8], 'bool') }),
      'DTYPE_UNSUPPORTED',
      /key must be float32.* received bool/,
    ],
    [
      'values of another dtype than keys',
      () => make({}, { value: zeros([2, 2, 7, 8], 'float16') }),
      'DTYPE_UNSUPPORTED',
      /value must be float32, as the key is; received float16/,
    ],
    [
      'a view beyond its storage',
      () => make({}, { query: { ...zeros([2, 4, 5, 8]), offset: 1 } }),
      'SHAPE_MISMATCH',
      /query must be within its storage of 320 elements/,
    ],
    [
      'an unknown dtype',
      () => make({}, { query: { ...zeros([2, 4, 5, 8]), dtype: 'float64' as Dtype } }),
      'DTYPE_UNSUPPORTED',
      /query.dtype must be one of/,
    ],
    [
      'batch sizes',
      () => make({}, { key: zeros([3, 2, 7, 8]) }),
      'SHAPE_MISMATCH',
      /key has batch size 3, query has 2 \(query \[2,4,5,8\], key \[3,2,7,8\]\); they must be equal/,
    ],
    [
      'batch sizes of values',
      () => make({}, { value: zeros([3, 2, 7, 8]) }),
      'SHAPE_MISMATCH',
      /value has batch size 3, query has 2/,
    ],
    ['head sizes', () => make({}, { key: zeros([2, 2, 7, 9]) }), 'SHAPE_MISMATCH', /key has head size 9, query has 8/],
    [
      'head sizes of packed keys',
      () => make({ keyScales: scales, valueScales: scales }, { ...int4, key: zeros([2, 2, 7, 8], 'uint8') }),
      'SHAPE_MISMATCH',
      /key has head size 16, query has 8/,
    ],
    [
      'head counts of keys and values',
      () => make({}, { value: zeros([2, 4, 7, 8]) }),
      'SHAPE_MISMATCH',
      /value has head count 4, key has 2/,
    ],
    [
      'lengths of keys and values',
      () => make({}, { value: zeros([2, 2, 6, 8]) }),
      'SHAPE_MISMATCH',
      /value has length 6, key has 7/,
    ],
    [
      'query heads that key heads do not divide',
      () => make({}, { query: zeros([2, 3, 5, 8]) }),
      'SHAPE_MISMATCH',
      /query has 3 heads, key has 2 .*must be a multiple/,
    ],
    [
      'no key heads',
      () => make({}, { key: zeros([2, 0, 7, 8]), value: zeros([2, 0, 7, 8]) }),
      'SHAPE_MISMATCH',
      /query has 4 heads, key has 0/,
    ],
    ['scale', () => make({ scale: NaN }), 'OPTION_INVALID', /scale must be a finite number; received NaN/],
    ['softcap', () => make({ softcap: 0 }), 'OPTION_INVALID', /softcap must be a positive number; received 0/],
    ['an infinite softcap', () => make({ softcap: Infinity }), 'OPTION_INVALID', /softcap/],
    [
      'causal',
      () => make({ causal: 'lower-left' as never }),
      'OPTION_INVALID',
      /causal must be one of true, false, lower-right, upper-left; received 'lower-left'/,
    ],
    ['window', () => make({ window: 5 as never }), 'OPTION_INVALID', /window must be an object \{ left\?, right\? \}; received 5/],
    ['window.left', () => make({ window: { left: -1 } }), 'OPTION_INVALID', /window.left must be a whole number ≥ 0; received -1/],
    [
      'window.right',
      () => make({ window: { right: 1.5 } }),
      'OPTION_INVALID',
      /window.right must be a whole number ≥ 0; received 1.5/,
    ],
    [
      'a bias that does not broadcast',
      () => make({ bias: zeros([3, 7]) }),
      'SHAPE_MISMATCH',
      /bias must be a shape that broadcasts to the scores' \[2,4,5,7\]; received \[3,7\]/,
    ],
    ['a boolean bias', () => make({ bias: zeros([7], 'bool') }), 'DTYPE_UNSUPPORTED', /bias must be a float dtype; received bool/],
    [
      'a mask that does not broadcast',
      () => make({ mask: zeros([4], 'bool') }),
      'SHAPE_MISMATCH',
      /mask must be a shape that broadcasts/,
    ],
    [
      'an integer mask',
      () => make({ mask: zeros([7], 'int32') }),
      'DTYPE_UNSUPPORTED',
      /mask must be bool, or a float dtype for a bias; received int32/,
    ],
    [
      'a mask that is a function',
      () => make({ mask: (() => true) as never }),
      'OPTION_INVALID',
      /mask must be a tensor or what maskMod\(\) returns; received a function/,
    ],
    ['two biases', () => make({ mask: zeros([7]), bias: zeros([7]) }), 'OPTION_INVALID', /mask must be boolean beside a bias/],
    [
      'a score that is a mask',
      () => make({ score: maskMod(() => true) as never }),
      'OPTION_INVALID',
      /score must be what scoreMod\(\) returns; received an object/,
    ],
    [
      'sinks of another length',
      () => make({ sinks: [1, 2] }),
      'SHAPE_MISMATCH',
      /sinks must be one logit per query head, \[4\]; received \[2\]/,
    ],
    [
      'sinks that are one number',
      () => make({ sinks: 1 as never }),
      'OPTION_INVALID',
      /sinks must be a tensor or an array of numbers; received 1/,
    ],
    [
      'no lengths',
      () => make({ lengths: null as never }),
      'OPTION_INVALID',
      /lengths must be a tensor or an array of numbers; received null/,
    ],
    [
      'integer sinks',
      () => make({ sinks: zeros([4], 'int32') }),
      'DTYPE_UNSUPPORTED',
      /sinks must be a float dtype; received int32/,
    ],
    [
      'lengths of another count',
      () => make({ lengths: [1] }),
      'SHAPE_MISMATCH',
      /lengths must be one length per batch entry, \[2\]; received \[1\]/,
    ],
    ['float lengths', () => make({ lengths: zeros([2]) }), 'DTYPE_UNSUPPORTED', /lengths must be int32; received float32/],
    [
      'lengths beyond the keys',
      () => make({ lengths: [7, 8] }),
      'OPTION_INVALID',
      /lengths\[1\] must be a whole number from 0 to the key length 7; received 8/,
    ],
    [
      'a fractional length',
      () => make({ lengths: [1.5, 2] }),
      'OPTION_INVALID',
      /lengths\[0\] must be a whole number.*received 1.5/,
    ],
    [
      'quantised keys without scales',
      () => make({ valueScales: scales }, int8),
      'OPTION_INVALID',
      /keyScales must be given, as the key is int8; received undefined/,
    ],
    [
      'quantised values without scales',
      () => make({ keyScales: scales }, int8),
      'OPTION_INVALID',
      /valueScales must be given, as the value is int8/,
    ],
    [
      'scales of float keys',
      () => make({ keyScales: scales }),
      'OPTION_INVALID',
      /keyScales must be left out, as the key is float32/,
    ],
    [
      'scales of another dtype',
      () => make({ keyScales: zeros([2, 2, 7, 2], 'float16'), valueScales: scales }, int8),
      'DTYPE_UNSUPPORTED',
      /keyScales must be float32; received float16/,
    ],
    [
      'groups that do not divide',
      () => make({ keyScales: zeros([2, 2, 7, 3]), valueScales: scales }, int8),
      'SHAPE_MISMATCH',
      /keyScales must be \[2,2,7,groups\] with groups that divide 8; received \[2,2,7,3\]/,
    ],
    [
      'scales of other keys',
      () => make({ keyScales: scales, valueScales: zeros([2, 2, 6, 2]) }, int4),
      'SHAPE_MISMATCH',
      /valueScales must be \[2,2,7,groups\]/,
    ],
    ['no groups', () => make({ keyScales: zeros([2, 2, 7, 0]), valueScales: scales }, int8), 'SHAPE_MISMATCH', /keyScales/],
    [
      'a dropout that is a number',
      () => make({ dropout: 0.1 as never }),
      'OPTION_INVALID',
      /dropout must be an object \{ probability, seed \}; received 0.1/,
    ],
    [
      'a certain dropout',
      () => make({ dropout: { probability: 1, seed: 0 } }),
      'OPTION_INVALID',
      /dropout.probability must be a number from 0 to below 1; received 1/,
    ],
    [
      'a seed that is none',
      () => make({ dropout: { probability: 0.1, seed: -1 } }),
      'OPTION_INVALID',
      /dropout.seed must be a whole number from 0 to below 2³²; received -1/,
    ],
  ]

  it.each(cases)('%s', (_, attempt, code, message) => {
    expect(attempt).toThrow(expect.objectContaining({ code, operation: 'attention', message: expect.stringMatching(message) }))
  })
})
