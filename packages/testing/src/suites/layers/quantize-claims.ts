import {
  permute,
  roundTo,
  slice,
  tensor,
  toFloat64,
  zeros,
  type Backend,
  type Dtype,
  type HostTensor,
  type OwnedTensor,
  type Tensor,
} from '@qkv/core'
import { expect, test } from 'vitest'
import { take } from '../suite.ts'
import { rowsOf, type Case } from './case.ts'
import type { LayerChecks } from './checks.ts'
import { gamma, largestMagnitude } from './estimate.ts'

/** Quantising, as caches append: codes and scales, in their places and nowhere else. */
export function quantizeClaims({ backend, forRandomCases, slack }: LayerChecks): void {
  for (const format of [bytes, nibbles]) {
    const claim = `quantize to ${8 / format.perByte} bits takes the nearest multiple, and writes nothing but its targets`
    forRandomCases(claim, async (current) => {
      const [groups, groupSize] = [current.size(4), format.perByte * current.size(17)]
      const [batch, heads, rows, dim] = [current.size(2), current.size(3), current.length(4), groups * groupSize]
      const source = current.floats([batch, heads, rows, dim], current.stream.pick([0.01, 1, 30]))
      // The heads of a token perhaps side by side.
      const headsBeside = current.stream.chance(0.5)
      const codes = makeRoom(backend(), [batch, heads, rows, dim / format.perByte], format.dtype, headsBeside)
      const scales = makeRoom(backend(), [batch, heads, rows, groups], 'float32', headsBeside)
      backend().quantize(source, codes.target, scales.target)
      const written = { codes: await take(backend(), codes.target), scales: await take(backend(), scales.target) }
      expectNearest(source, written, { ...format, groupSize, slack }, current)
      await codes.expectUntouchedAround(current)
      await scales.expectUntouchedAround(current)
    })
  }

  test('what is all zeros is quantised to zeros, by scales of zero', async () => {
    const [codes, pairs, scales] = [backend().empty([3, 8], 'int8'), backend().empty([3, 4], 'uint8'), backend().empty([3, 2])]
    for (const target of [codes, pairs]) backend().quantize(zeros([3, 8]), target, scales)
    expect(await take(backend(), codes)).toEqual(new Float64Array(24))
    expect(await take(backend(), pairs)).toEqual(new Float64Array(12).fill(0x88))
    expect(await take(backend(), scales)).toEqual(new Float64Array(6))
  })
}

interface Format {
  readonly dtype: 'int8' | 'uint8'
  /** The code of the largest magnitude. */
  readonly levels: number
  readonly perByte: number
}

const bytes: Format = { dtype: 'int8', levels: 127, perByte: 1 }
const nibbles: Format = { dtype: 'uint8', levels: 7, perByte: 2 }

/** The rows of a cache that are written, among more. */
interface Room {
  /** [batch, heads, rows, elements] */
  readonly target: Tensor
  /** Gives the room back. @throws where rows around the target have changed. */
  expectUntouchedAround(current: Case): Promise<void>
}

function makeRoom(
  backend: Backend,
  [batch = 0, heads = 0, rows = 0, elements = 0]: number[],
  dtype: Dtype,
  headsBeside: boolean,
): Room {
  const shape = headsBeside ? [batch, rows + 3, heads, elements] : [batch, heads, rows + 3, elements]
  const all: OwnedTensor = backend.upload(tensor(roundTo(new Float64Array(rowsOf(shape)).fill(7), dtype), shape, { dtype }))
  const byHeads = headsBeside ? permute(all, [0, 2, 1, 3]) : all
  return {
    target: slice(byHeads, 2, 1, rows + 1),
    async expectUntouchedAround({ name }) {
      const around = [slice(byHeads, 2, 0, 1), slice(byHeads, 2, rows + 1, rows + 3)]
      for (const beside of around) {
        if ((await take(backend, beside)).some((value) => value !== 7)) expect.fail(`rows around the target have changed: ${name}`)
      }
      all.dispose()
    },
  }
}

interface Written {
  readonly codes: Float64Array
  readonly scales: Float64Array
}

/** @throws unless scales are the largest magnitudes over the levels, and codes the nearest multiples. */
function expectNearest(
  source: HostTensor,
  { codes, scales }: Written,
  { dtype, levels, perByte, groupSize, slack }: Format & { readonly groupSize: number; readonly slack: number },
  { name }: Case,
): void {
  const x = toFloat64(source)
  scales.forEach((scale, group) => {
    const exact = x.subarray(group * groupSize, (group + 1) * groupSize).reduce(largestMagnitude, 0) / levels
    if (Math.abs(scale - exact) <= slack * gamma(1) * exact + 2 ** -126) return
    expect.fail(`scale ${group} is ${scale} instead of ${exact}: ${name}`)
  })
  // A quotient is off by a few units in the last place: close to a tie, either neighbour is the nearest.
  const tie = slack * gamma(1) * levels
  x.forEach((element, index) => {
    const byte = codes[Math.floor(index / perByte)]!
    const code = dtype === 'int8' ? byte : ((byte >> (4 * (index % 2))) & 15) - 8
    const multiple = element / scales[Math.floor(index / groupSize)]!
    if (Math.abs(code - multiple) <= 0.5 + tie) return
    expect.fail(`element ${index}, ${multiple} times its scale, is held as ${code}: ${name}`)
  })
}
