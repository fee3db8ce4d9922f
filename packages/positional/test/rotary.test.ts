import { createCpuBackend } from '@qkv/cpu'
import { QkvError, slice, splitHeads, tensor, toFloat64, type HostTensor, type RotaryTable } from '@qkv/core'
import { rotary, xpos, type Positions } from '@qkv/positional'
import { random } from '@qkv/testing'
import { sharedFolder } from '@qkv/testing/shared-folder'
import fc from 'fast-check'
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { host, rotate } from './support/rotate.ts'
import { input, readJson, toTensor, type OnnxVector } from './support/vectors.ts'

const ones = (dim: number): HostTensor => tensor(new Float32Array(dim).fill(1), [1, 1, 1, dim])

describe('rotary', () => {
  test('half pairs elements that lie dim/2 apart, interleaved pairs neighbours', () => {
    const vector = tensor([1, 2, 3, 4], [1, 1, 1, 4])
    const [c0, s0, c1, s1] = [Math.cos(3), Math.sin(3), Math.cos(0.03), Math.sin(0.03)]
    const half = rotate(vector, rotary({ dim: 4 }).table([3]))
    const interleaved = rotate(vector, rotary({ dim: 4, layout: 'interleaved' }).table([3]))
    const near = (actual: Float64Array, expected: number[]): void =>
      expected.forEach((value, i) => expect(actual[i]).toBeCloseTo(value, 6))
    near(half, [c0 - 3 * s0, 2 * c1 - 4 * s1, 3 * c0 + s0, 4 * c1 + 2 * s1])
    near(interleaved, [c0 - 2 * s0, 2 * c0 + s0, 3 * c1 - 4 * s1, 4 * c1 + 3 * s1])
  })

  test('only the first dim elements turn', () => {
    const rotated = rotate(ones(10), rotary({ dim: 4 }).table([7]))
    expect([...rotated.subarray(4)]).toEqual([1, 1, 1, 1, 1, 1])
    expect([...rotated.subarray(0, 4)]).not.toContain(1)
  })

  test('at position 0 nothing turns', () => {
    expect([...rotate(ones(8), rotary({ dim: 8 }).table([0]))]).toEqual([1, 1, 1, 1, 1, 1, 1, 1])
  })

  test('a range, an array and tensors of any integer dtype or batch say the same', () => {
    const encoding = rotary({ dim: 8 })
    const cosines = (positions: Positions): number[] => [...toFloat64(host(encoding.table(positions).cos))]
    const expected = cosines({ start: 5, length: 3 })
    expect(cosines([5, 6, 7])).toEqual(expected)
    expect(cosines(tensor(Int32Array.of(5, 6, 7), [3]))).toEqual(expected)
    expect(cosines(tensor(Uint8Array.of(5, 6, 7), [1, 3]))).toEqual(expected)
    const batched = encoding.table(tensor(Int32Array.of(5, 6, 7, 0, 1, 2), [2, 3]))
    expect(batched.cos.shape).toEqual([2, 1, 3, 4])
    expect([...toFloat64(host(batched.cos))]).toEqual([...expected, ...cosines([0, 1, 2])])
  })

  test('an encoding that was asked before says what a new one would', () => {
    const encodings = [
      () => rotary({ dim: 8 }),
      () => rotary({ dim: 8, type: 'dynamic', factor: 2, max_position_embeddings: 4 }),
      () => xpos({ dim: 8 }),
    ]
    const asks = [2, 2, 3].flatMap((start) => [1, 1, 2].map((length) => ({ start, length })))
    for (const make of encodings) {
      const asked = make()
      for (const range of asks) {
        for (const role of ['query', 'key'] as const) {
          for (const context of [undefined, 16]) {
            const [kept, fresh] = [asked, make()].map((encoding) => encoding.table(range, role, context))
            expect(toFloat64(host(kept!.cos)), JSON.stringify({ range, role, context })).toEqual(toFloat64(host(fresh!.cos)))
          }
        }
      }
    }
  })

  test('an encoding keeps the table it made last, unless it is a long one', () => {
    const encoding = rotary({ dim: 8 })
    const [short, long] = [
      { start: 0, length: 4096 },
      { start: 0, length: 4097 },
    ]
    const kept = encoding.table(short, 'query')
    expect(encoding.table(short, 'key')).toBe(kept)
    expect(encoding.table(long)).not.toBe(encoding.table(long))
    expect(encoding.table(short)).toBe(kept)
  })

  test('tables are stored as asked, rounded once from float64', () => {
    const exact = Math.cos(10)
    const { cos } = rotary({ dim: 2, dtype: 'bfloat16' }).table([10])
    expect(cos.dtype).toBe('bfloat16')
    expect(Math.abs(toFloat64(host(cos))[0]! - exact)).toBeLessThanOrEqual(2 ** -9 * Math.abs(exact))
    expect(toFloat64(host(rotary({ dim: 2 }).table([10]).cos))[0]).toBe(Math.fround(exact))
  })

  test('angles of far positions are exact where float32 angles are not', () => {
    const position = 2 ** 24 - 1
    const dim = 64
    const theta = 10000 ** (-2 / dim)
    const sin = host(rotary({ dim }).table([position]).sin).storage[1]!
    // The angle by exact integers, to 60 bits behind the point.
    const bits = 2n ** 60n
    const turn = BigInt(position) * BigInt(Math.round(theta * 2 ** 52)) * 2n ** 8n
    const twoPi = 7244019458077122842n // 2π · 2⁶⁰
    const angle = Number(turn % twoPi) / Number(bits)
    expect(Math.abs(sin - Math.sin(angle))).toBeLessThan(1e-7)
    expect(Math.abs(Math.sin(Math.fround(Math.fround(theta) * position)) - Math.sin(angle))).toBeGreaterThan(1e-3)
  })
})

describe('scores see differences of positions alone', () => {
  /** q·k of one query at `i` and one key at `j`, from float32 tables. */
  function score(q: HostTensor, k: HostTensor, i: number, j: number, layout: 'half' | 'interleaved'): number {
    const encoding = rotary({ dim: 16, layout })
    const [a, b] = [rotate(q, encoding.table([i], 'query')), rotate(k, encoding.table([j], 'key'))]
    return a.reduce((sum, value, c) => sum + value * b[c]!, 0)
  }

  /**
   * Rounding a cosine and a sine to float32 moves a turned pair by at most √2·2⁻²⁵ of its length; there are four turned
   * vectors in the difference of two scores. 2⁻³⁰ covers angles up to 2²¹ and the float64 sums.
   */
  function bound(q: HostTensor, k: HostTensor, layout: 'half' | 'interleaved'): number {
    const length = (values: ArrayLike<number>, pair: number): number =>
      layout === 'half' ? Math.hypot(values[pair]!, values[pair + 8]!) : Math.hypot(values[2 * pair]!, values[2 * pair + 1]!)
    let sum = 0
    for (let pair = 0; pair < 8; pair++) sum += length(q.storage, pair) * length(k.storage, pair)
    return sum * (4 * Math.SQRT2 * 2 ** -25 + 2 ** -30)
  }

  test.each(['half', 'interleaved'] as const)('for offsets up to 2²⁰, %s', (layout) => {
    const stream = random(7, layout)
    const vector = (): HostTensor =>
      tensor(
        Float32Array.from({ length: 16 }, () => stream.normal()),
        [1, 1, 1, 16],
      )
    const position = fc.integer({ min: 0, max: 4096 })
    fc.assert(
      fc.property(position, position, fc.integer({ min: 0, max: 2 ** 20 }), (i, j, offset) => {
        const [q, k] = [vector(), vector()]
        const moved = score(q, k, i + offset, j + offset, layout)
        expect(Math.abs(moved - score(q, k, i, j, layout))).toBeLessThanOrEqual(bound(q, k, layout))
      }),
      {
        numRuns: 300,
        examples: [
          [0, 0, 2 ** 20],
          [4096, 0, 2 ** 20],
        ],
      },
    )
  })

  test('but for plain float32 angles they do not', () => {
    const q = ones(16)
    const single = (i: number, j: number): number =>
      [0, 1, 2, 3, 4, 5, 6, 7].reduce((sum, pair) => {
        const theta = Math.fround(10000 ** (-pair / 8))
        return sum + 2 * Math.cos(Math.fround(theta * i) - Math.fround(theta * j))
      }, 0)
    expect(Math.abs(single(2 ** 20 + 3, 2 ** 20) - single(3, 0))).toBeGreaterThan(bound(q, q, 'half'))
  })

  test('a table turns without changing lengths, but for its attention factor', () => {
    const vector = tensor([3, -1, 2, 5], [1, 1, 1, 4])
    const yarn = rotary({ dim: 4, type: 'yarn', factor: 16, original_max_position_embeddings: 64 })
    const length = (values: ArrayLike<number>): number => Math.hypot(...Array.from(values))
    expect(length(rotate(vector, yarn.table([1234])))).toBeCloseTo(length(vector.storage) * (0.1 * Math.log(16) + 1), 5)
  })
})

describe('keys turned on by an offset', () => {
  test.each([
    ['default', rotary({ dim: 8 })],
    [
      'yarn, whose attention factor counts once',
      rotary({ dim: 8, type: 'yarn', factor: 4, original_max_position_embeddings: 64, layout: 'interleaved' }),
    ],
  ] as const)('stand where they would have been turned to at once: %s', (_, encoding) => {
    const key = tensor(
      Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      [1, 1, 3, 8],
    )
    const asTensor = (values: Float64Array): HostTensor => tensor(Float32Array.from(values), key.shape)
    const cached = asTensor(rotate(key, encoding.table({ start: 1000, length: 3 }, 'key')))
    const shifted = rotate(cached, encoding.shift(-900))
    const direct = rotate(key, encoding.table({ start: 100, length: 3 }, 'key'))
    direct.forEach((value, i) => expect(shifted[i]).toBeCloseTo(value, 6))
  })
})

describe('frequencies that follow the length of the context', () => {
  const dynamic = rotary({ dim: 8, type: 'dynamic', factor: 4, max_position_embeddings: 16 })
  const sines = (table: RotaryTable): number[] => [...toFloat64(host(table.sin))]

  test('follow the largest position unless told', () => {
    expect(sines(dynamic.table([3, 99]))).toEqual(sines(dynamic.table([3, 99], 'query', 100)))
    expect(sines(dynamic.table([3], 'query', 100))).not.toEqual(sines(dynamic.table([3])))
  })

  test('longrope switches when the context outgrows the trained length', () => {
    const options = { short_factor: [1, 1], long_factor: [1, 8], original_max_position_embeddings: 64, factor: 4 }
    const longrope = rotary({ dim: 4, type: 'longrope', ...options })
    expect(sines(longrope.table([63]))).toEqual(sines(longrope.table([63], 'key', 64)))
    expect(sines(longrope.table([63], 'key', 65))).not.toEqual(sines(longrope.table([63])))
  })
})

describe('refusals name what is wrong', () => {
  const refusal = (build: () => unknown): { argument: string; message: string } => {
    try {
      build()
    } catch (error) {
      if (QkvError.is(error)) return { argument: error.argument, message: error.message }
      throw error
    }
    throw new Error('nothing was refused')
  }
  const table = (positions: unknown) => () => rotary({ dim: 4 }).table(positions as Positions)

  test.each([
    ['dim', () => rotary({ dim: 7 })],
    ['dim', () => rotary({ dim: 0 })],
    ['base', () => rotary({ dim: 4, base: -1 })],
    ['layout', () => rotary({ dim: 4, layout: 'full' as 'half' })],
    ['type', () => rotary({ dim: 4, type: 'ntk' as 'default' })],
    ['factor', () => rotary({ dim: 4, type: 'linear' } as unknown as { dim: number; type: 'linear'; factor: number })],
    ['factor', () => rotary({ dim: 4, type: 'linear', factor: NaN })],
    [
      'beta_fast',
      () => rotary({ dim: 4, type: 'yarn', factor: 2, original_max_position_embeddings: 8, beta_fast: 1, beta_slow: 2 }),
    ],
    [
      'short_factor',
      () => rotary({ dim: 8, type: 'longrope', short_factor: [1], long_factor: [1, 1, 1, 1], original_max_position_embeddings: 8 }),
    ],
    [
      'long_factor[2]',
      () =>
        rotary({
          dim: 8,
          type: 'longrope',
          short_factor: [1, 1, 1, 1],
          long_factor: [1, 1, 0, 1],
          original_max_position_embeddings: 8,
        }),
    ],
    [
      'high_freq_factor',
      () =>
        rotary({ dim: 4, type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 1, original_max_position_embeddings: 8 }),
    ],
    ['partial_rotary_factor', () => rotary({ dim: 4, type: 'proportional', partial_rotary_factor: 1.5 })],
    ['positions[1]', table([0, 2 ** 24 + 1])],
    ['positions[0]', table([NaN])],
    ['positions[2]', table({ start: 2 ** 24 - 1, length: 9 })],
    ['positions.length', table({ start: 0, length: -1 })],
    ['positions', table(null)],
    ['positions', table(tensor(new Int32Array(16), [2, 2, 2, 2]))],
    ['positions', table(tensor(new Int32Array(6), [3, 1, 2]))],
  ])('%s', (argument, build) => {
    expect(refusal(build).argument).toBe(argument)
    expect(refusal(build).message).toMatch(/^rotary: .+ must be .+; received .+/)
  })

  test('the largest position that is not refused is 2²⁴', () => {
    expect(() => rotary({ dim: 4 }).table([2 ** 24, -(2 ** 24)])).not.toThrow()
  })
})

const keras = sharedFolder('vectors/keras')

describe.skipIf(keras === undefined)('Keras’s RotaryEmbedding', () => {
  const golden = () =>
    readJson<{
      rope_half_split: { dim: number; pos?: number; positions?: number[]; factor?: number; expected: number[] | number[][] }[]
      rope_half_split_2d_positions: { positions: number[][]; x: number[][]; expected_last_row: number[] }
    }>(keras ?? '', 'golden.json')

  test('turns ones as it does, with and without scaling', () => {
    for (const { dim, pos, positions, factor, expected } of golden().rope_half_split) {
      const encoding = rotary(factor === undefined ? { dim } : { dim, type: 'linear', factor })
      const rows = (positions ?? [pos ?? NaN]).flatMap((position) => [...rotate(ones(dim), encoding.table([position]))])
      // One case is printed to four decimals, the others to nine.
      const printedTo = pos === undefined ? 1e-6 : 5e-5
      expected.flat().forEach((value, i) => expect(Math.abs(rows[i]! - value)).toBeLessThanOrEqual(printedTo))
    }
    expect(golden().rope_half_split.length).toBeGreaterThan(2)
  })

  test('turns each sequence by its own positions', () => {
    const { positions, x, expected_last_row } = golden().rope_half_split_2d_positions
    const encoding = rotary({ dim: 16 })
    const table = encoding.table(tensor(positions.flat(), [2, 2], { dtype: 'int32' }))
    const rotated = rotate(tensor(x.flat(), [2, 1, 2, 16]), table)
    expected_last_row.forEach((value, i) => expect(Math.abs(rotated[48 + i]! - value)).toBeLessThanOrEqual(1e-6))
  })
})

const onnx = sharedFolder('vectors/onnx')
const vectors = onnx === undefined ? [] : readdirSync(onnx).filter((file) => file.startsWith('test_rotary_embedding'))

describe.skipIf(onnx === undefined)('ONNX RotaryEmbedding, turned by the CPU backend', () => {
  test('has five vectors', () => {
    expect(vectors).toHaveLength(5)
  })

  test.each(vectors)('%s', async (file) => {
    const vector = readJson<OnnxVector>(onnx ?? '', file)
    const { interleaved = 0, num_heads: heads = 0 } = vector.attributes
    const given = toTensor(input(vector, 'input')!)
    const x = given.shape.length === 3 ? splitHeads(given, heads) : given
    const layout = interleaved === 1 ? 'interleaved' : 'half'
    const dim = 2 * (input(vector, 'cos_cache')!.dims.at(-1) ?? 0)
    const table: RotaryTable = { cos: cached(vector, 'cos_cache'), sin: cached(vector, 'sin_cache'), layout, dim }
    using backend = await createCpuBackend()
    const output = splitHeadsLike(toTensor(vector.outputs[0]!), heads)
    const expected = toFloat64(output)
    const actual = await backend.read(backend.rotate(x, table))
    expected.forEach((value, i) => expect(Math.abs(actual[i]! - value)).toBeLessThanOrEqual(2 ** -22))
    rotate(x, table).forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(2 ** -22))
  })

  function splitHeadsLike(output: HostTensor, heads: number): HostTensor {
    return output.shape.length === 3 ? splitHeads(output, heads) : output
  }

  /** Rows of a cache [positions, pairs] by position ids [batch, length]; without ids, it is already [batch, length, pairs]. */
  function cached(vector: OnnxVector, name: string): HostTensor {
    const cache = toTensor(input(vector, name)!)
    const ids = input(vector, 'position_ids')
    const [batch = 0, length = 0] = ids?.dims ?? cache.shape
    const pairs = cache.shape.at(-1) ?? 0
    const rows = ids ? ids.data.flatMap((id) => [...toFloat64(slice(cache, 0, id, id + 1))]) : [...toFloat64(cache)]
    return tensor(rows, [batch, 1, length, pairs])
  }
})
