import {
  broadcastTo,
  isFloat,
  permute,
  roundTo,
  slice,
  tensor,
  toFloat64,
  zeros,
  type Activation,
  type Dtype,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
} from '@qkv/core'
import { describe, expect, test } from 'vitest'
import { floatDtypes } from '../problem-token.ts'
import { rowsOf, type Case } from './layers/case.ts'
import { layerChecks, slackOf } from './layers/checks.ts'
import { estimate, estimateRows, gamma, largestMagnitude, mean, productSum, sumOf } from './layers/estimate.ts'
import { mergeClaims } from './layers/merge-claims.ts'
import { heldBackend, take, type Suite } from './suite.ts'

/**
 * The operations around attention against their formulas in float64, over random shapes, dtypes and layouts in guarded
 * memory. Bounds are those of float32 arithmetic: γ(n) of the magnitudes that are summed, and rounding to the dtype.
 */
export function layerSuite(suite: Suite): void {
  describe('layer operations', { timeout: 600_000 }, () => {
    const backend = heldBackend(suite)
    const slack = slackOf(suite)
    const checks = layerChecks(suite, backend)
    const { forRandomCases, expectClose, expectExactly } = checks

    // More than others: now and then, a case is not what its kernel takes.
    for (const [amount, drawRows, count] of [
      ['few', fewRows, 2450],
      ['many', manyRows, 2250],
    ] as const) {
      const claim = `linear of ${amount} rows is input · weightᵀ + bias`
      const check = async (current: Case): Promise<void> => {
        const { stream, kind } = current
        const [inputs, outputs] = [current.dim(80), current.dim(70)]
        const leading = drawRows(current)
        const repeated = kind.chance(0.2)
        const input = repeated
          ? broadcastTo(current.floats([stream.pick([1, inputs])]), [...leading, inputs])
          : current.floats([...leading, inputs])
        const weight = current.floats([outputs, inputs])
        const bias = kind.chance(0.5) ? current.floats([outputs]) : undefined
        const [x, w, b] = [toFloat64(input), toFloat64(weight), bias && toFloat64(bias)]
        const result = backend().linear(input, weight, bias)
        expect(result.shape).toEqual([...leading, outputs])
        expect(result.dtype).toBe(input.dtype)
        const expected = estimate(rowsOf(leading) * outputs, (index) => {
          const [row, output] = [Math.floor(index / outputs), index % outputs]
          return productSum(x, row * inputs, w, output * inputs, inputs, b?.[output] ?? 0)
        })
        await expectClose(result, expected, current)
      }
      forRandomCases(claim, check, count)
    }

    forRandomCases('rmsNorm divides by the root of the mean square', async (current) => {
      const { input, weight, dim, epsilon } = normalisable(current)
      const w = toFloat64(weight)
      const expected = estimateRows(toFloat64(input), dim, (row) => {
        const root = Math.sqrt(mean(row.map((x) => x * x)) + epsilon)
        return (x, column) => {
          const value = (x / root) * w[column]!
          return { value, error: gamma(dim + 8) * Math.abs(value) }
        }
      })
      await expectClose(backend().rmsNorm(input, weight, epsilon), expected, current)
    })

    forRandomCases('layerNorm takes the mean off and divides by the deviation', async (current) => {
      const { input, weight, dim, epsilon } = normalisable(current)
      const bias = current.kind.chance(0.5) ? current.floats([dim]) : undefined
      const [w, b] = [toFloat64(weight), bias && toFloat64(bias)]
      const expected = estimateRows(toFloat64(input), dim, (row) => {
        const [centre, size] = [mean(row), mean(row.map(Math.abs))]
        const deviation = Math.sqrt(mean(row.map((x) => (x - centre) ** 2)) + epsilon)
        return (x, column) => {
          const [factor, added] = [w[column]! / deviation, b?.[column] ?? 0]
          const value = (x - centre) * factor + added
          // The mean's own error moves every element, and the deviation by as much.
          const lost = gamma(dim + 8) * (size + Math.abs(x)) * Math.abs(factor)
          const rounded = gamma(dim + 8) * (Math.abs(value) + Math.abs(added))
          return { value, error: lost * (1 + Math.abs(x - centre) / deviation) + rounded }
        }
      })
      await expectClose(backend().layerNorm(input, weight, bias, epsilon), expected, current)
    })

    for (const [activation, f] of Object.entries(activations)) {
      forRandomCases(`activate: ${activation}`, async (current) => {
        const input = current.floats(current.shape(), current.stream.pick([0.01, 1, 6]))
        const x = toFloat64(input)
        // x/(1 + exp(−x)) and its kin: errors relative to the result, and of tanh and erf near ±1, to x.
        await expectClose(
          backend().activate(input, activation as Activation),
          estimate(x.length, (index) => {
            const value = f(x[index]!)
            return { value, error: gamma(16) * (Math.abs(value) + (activation.startsWith('gelu') ? Math.abs(x[index]!) : 0)) }
          }),
          current,
        )
      })
    }

    for (const [operation, f] of [
      ['add', (a: number, b: number) => a + b],
      ['multiply', (a: number, b: number) => a * b],
    ] as const) {
      forRandomCases(`${operation} broadcasts the right operand`, async (current) => {
        const shape = current.shape()
        const left = current.floats(shape)
        const kept = shape.slice(current.stream.integer(0, shape.length)).map((size) => (current.stream.chance(0.3) ? 1 : size))
        const right = current.floats(kept)
        const [a, b] = [toFloat64(left), toFloat64(broadcastTo(right, shape))]
        await expectClose(
          backend()[operation](left, right),
          estimate(a.length, (index) => {
            const value = f(a[index]!, b[index]!)
            return { value, error: gamma(1) * Math.abs(value) }
          }),
          current,
        )
      })
    }

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
        const { stream, kind } = current
        const shape = [current.size(2), current.size(3), current.size(9), current.size(20)]
        const from = kind.pick(copiedDtypes)
        const to = kind.chance(0.1) ? kind.pick(copiedDtypes) : isFloat(from) ? kind.pick(floatDtypes) : from
        const source = current.place(current.numbers(shape, 5), shape, from)
        const whole = backend().upload(
          tensor(roundTo(new Float64Array(rowsOf(shape) + 50).fill(7), to), [rowsOf(shape) + 50], { dtype: to }),
        )
        const axes = stream.pick([
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
      2400,
    )

    for (const dtype of ['int8', 'uint8'] as const) {
      const bits = dtype === 'int8' ? 8 : 4
      forRandomCases(`quantize to ${bits} bits takes the nearest multiple, and writes nothing but its targets`, async (current) => {
        const levels = dtype === 'int8' ? 127 : 7
        const perByte = dtype === 'int8' ? 1 : 2
        const [groups, groupSize] = [current.size(4), perByte * current.size(17)]
        const [batch, heads, rows, dim] = [current.size(2), current.size(3), current.size(4), groups * groupSize]
        const source = current.floats([batch, heads, rows, dim], current.stream.pick([0.01, 1, 30]))
        // As a cache is written: some rows of all that it has room for, the heads of a token perhaps side by side.
        const headsBeside = current.stream.chance(0.5)
        const room = (elements: number, filling: Dtype): { all: OwnedTensor; byHeads: Tensor; target: Tensor } => {
          const shape = headsBeside ? [batch, rows + 3, heads, elements] : [batch, heads, rows + 3, elements]
          const sevens = roundTo(new Float64Array(rowsOf(shape)).fill(7), filling)
          const all = backend().upload(tensor(sevens, shape, { dtype: filling }))
          const byHeads = headsBeside ? permute(all, [0, 2, 1, 3]) : all
          return { all, byHeads, target: slice(byHeads, 2, 1, rows + 1) }
        }
        const [codes, scales] = [room(dim / perByte, dtype), room(groups, 'float32')]
        backend().quantize(source, codes.target, scales.target)

        const [x, written, factors] = [toFloat64(source), await take(backend(), codes.target), await take(backend(), scales.target)]
        factors.forEach((scale, group) => {
          const exact = x.subarray(group * groupSize, (group + 1) * groupSize).reduce(largestMagnitude, 0) / levels
          if (Math.abs(scale - exact) <= slack * gamma(1) * exact + 2 ** -126) return
          expect.fail(`scale ${group} is ${scale} instead of ${exact}: ${current.name}`)
        })
        // A quotient is off by a few units in the last place: close to a tie, either neighbour is the nearest.
        const tie = slack * gamma(1) * levels
        x.forEach((element, index) => {
          const byte = written[Math.floor(index / perByte)]!
          const code = dtype === 'int8' ? byte : ((byte >> (4 * (index % 2))) & 15) - 8
          const multiple = element / factors[Math.floor(index / groupSize)]!
          if (Math.abs(code - multiple) <= 0.5 + tie) return
          expect.fail(`element ${index}, ${multiple} times its scale, is held as ${code}: ${current.name}`)
        })
        for (const { all, byHeads } of [codes, scales]) {
          for (const [first, end] of [
            [0, 1],
            [rows + 1, rows + 3],
          ] as const) {
            const around = await take(backend(), slice(byHeads, 2, first, end))
            if (around.some((value) => value !== 7)) expect.fail(`rows around the targets have changed: ${current.name}`)
          }
          all.dispose()
        }
      })
    }

    test('what is all zeros is quantised to zeros, by scales of zero', async () => {
      const [bytes, nibbles, scales] = [backend().empty([3, 8], 'int8'), backend().empty([3, 4], 'uint8'), backend().empty([3, 2])]
      for (const target of [bytes, nibbles]) backend().quantize(zeros([3, 8]), target, scales)
      expect(await take(backend(), bytes)).toEqual(new Float64Array(24))
      expect(await take(backend(), nibbles)).toEqual(new Float64Array(12).fill(0x88))
      expect(await take(backend(), scales)).toEqual(new Float64Array(6))
    })

    test('copy between overlapping views of one tensor reads before it writes', async () => {
      const rows = (first: number, end: number): number[] =>
        Array.from({ length: 4 * (end - first) }, (_, index) => 4 * first + index)
      const held = backend().upload(tensor(Float32Array.from(rows(0, 9)), [9, 4]))
      backend().copy(slice(held, 0, 0, 7), slice(held, 0, 1, 8))
      expect(await take(backend(), held)).toEqual(Float64Array.from([...rows(0, 1), ...rows(0, 7), ...rows(8, 9)]))
    })

    forRandomCases('rotate turns pairs of elements and lets the rest pass', async (current) => {
      const { stream, kind } = current
      const layout = kind.pick(['half', 'interleaved'] as const)
      const shape = [current.size(2), current.size(3), current.size(5), 2 * kind.integer(1, 20)]
      const half = kind.integer(0, shape[3]! / 2)
      const input = current.floats(shape)
      const tableShape = [
        ...stream.pick([
          [shape[0]!, shape[1]!],
          [shape[0]!, 1],
          [1, 1],
        ]),
        shape[2]!,
        half,
      ]
      const angles = current.numbers(tableShape, 3)
      const [cos, sin] = [angles.map(Math.cos), angles.map(Math.sin)].map((values) => current.place(values, tableShape, 'float32'))
      const result = backend().rotate(input, { cos: cos!, sin: sin!, layout, dim: 2 * half })
      expect(result.shape).toEqual(shape)
      const x = toFloat64(input)
      const [c, s] = [cos!, sin!].map((table) => toFloat64(broadcastTo(table, [...shape.slice(0, 3), half])))
      await expectClose(
        result,
        estimate(x.length, (index) => {
          const [row, element] = [Math.floor(index / shape[3]!), index % shape[3]!]
          if (element >= 2 * half) return { value: x[index]!, error: 0 }
          const pair = layout === 'half' ? element % half : element >> 1
          const second = layout === 'half' ? element >= half : element % 2 === 1
          const partner = index + (layout === 'half' ? half : 1) * (second ? -1 : 1)
          return sumOf([x[index]! * c![row * half + pair]!, (second ? 1 : -1) * x[partner]! * s![row * half + pair]!])
        }),
        current,
      )
    })

    mergeClaims(checks)

    test('rotate keeps the order of axes in memory', () => {
      const headsLast = permute(zeros([2, 5, 3, 8]), [0, 2, 1, 3])
      const table = { cos: zeros([5, 4]), sin: zeros([5, 4]), layout: 'half', dim: 8 } as const
      const result = backend().rotate(headsLast, table)
      expect(result.strides).toEqual(headsLast.strides)
      result.dispose()
    })

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

const copiedDtypes: readonly Dtype[] = ['float32', 'float16', 'bfloat16', 'int8', 'int32']

function fewRows({ stream, size }: Case): number[] {
  return stream.pick([[], [size(8)], [size(15)], [size(2), size(4)], [size(2), size(2), size(2)]])
}

function manyRows({ stream, size }: Case): number[] {
  return stream.pick([[15 + size(70)], [2, 8 + size(20)], [size(2), 4, 4 + size(6)]])
}

function normalisable(current: Case) {
  const dim = current.dim(70)
  return {
    input: current.floats([...current.leading(), dim], current.stream.pick([0.01, 1, 30])),
    weight: current.floats([dim]),
    dim,
    epsilon: current.stream.pick([1e-5, 1e-6, 0.1]),
  }
}

const activations: Readonly<Record<Activation, (x: number) => number>> = {
  relu: (x) => Math.max(0, x),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => x * (0.5 + Math.sign(x) * normalIntegral(Math.abs(x))),
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
}

/** The standard normal density from 0 to x: the density at x, times x + x³/3 + x⁵/15 + …, all of whose terms are positive. */
function normalIntegral(x: number): number {
  if (x > 9) return 0.5
  let term = x
  let sum = x
  for (let n = 3; term > 2 ** -54 * sum; n += 2) {
    term *= (x * x) / n
    sum += term
  }
  return (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)
}

function inverse(axes: readonly number[]): number[] {
  return axes.map((_, axis) => axes.indexOf(axis))
}
