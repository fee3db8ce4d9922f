import type { Dtype, FloatDtype, HostTensor } from '@qkv/core'
import { expect } from 'vitest'
import { guarded, layouts, type GuardedTensor } from '../../guarded.ts'
import { random, type Random } from '../../random.ts'
import { problemCount, replayedToken, type Suite } from '../suite.ts'

/** What a case is drawn from. */
export interface CaseNumbers {
  readonly number: number
  readonly kind: number
  /** Replays it. */
  readonly token: string
}

/** The cases of a claim: as many as are asked for, or only the one that the environment's QKV_TOKEN names. */
export function casesOf(
  { kinds = Infinity, ...suite }: Pick<Suite, 'share' | 'kinds'>,
  claim: string,
  count: number,
): CaseNumbers[] {
  const replayed = replayedToken(`${claim}, case `)
  if (replayed !== undefined) return [parseCase(replayed)]
  return Array.from({ length: problemCount(suite, count) }, (_, number) => {
    const kind = number % kinds
    return { number, kind, token: `${claim}, case ${number} of kind ${kind}` }
  })
}

function parseCase(token: string): CaseNumbers {
  const [, number, kind] = /, case (\d+) of kind (\d+)$/.exec(token) ?? []
  if (number === undefined || kind === undefined) throw new Error(`not a case's token: ${token}`)
  return { number: Number(number), kind: Number(kind), token }
}

/** Random operands of one case, in guarded memory of random layouts. */
export interface Case {
  readonly number: number
  readonly stream: Random
  /** Draws what kernels are compiled for: dtypes, layouts, options. Cases of one kind draw the same. */
  readonly kind: Random
  /** Its token. */
  readonly name: string
  /** From 1 to `most`, the ends of vectors and tiles more often than the rest. */
  size(most: number): number
  /** About `size`, but now and then up to 40: longer than what kernels take at once. */
  length(most: number): number
  /** A size of vectors, about as `size`: a multiple of four or not, as the kind of the case has it. */
  dim(most: number): number
  /** None to three axes. */
  leading(): number[]
  shape(): number[]
  numbers(shape: readonly number[], deviation: number): Float64Array
  place(values: ArrayLike<number>, shape: readonly number[], dtype: Dtype): HostTensor
  /** A random one, the same for the whole case. */
  readonly floatDtype: FloatDtype
  /** Of a random float dtype. */
  floats(shape: readonly number[], deviation?: number): HostTensor
  /** @throws where memory of the operands, guards and gaps included, has changed. */
  expectUntouched(): void
}

/** Case `number` of a claim, of a kind that it shares with other cases or has alone. */
export function randomCase(claim: string, { number, kind: kindNumber, token }: CaseNumbers): Case {
  const stream = random(number, claim)
  const kind = random(kindNumber, `${claim}, kind`)
  const placed: GuardedTensor[] = []
  const size = (most: number): number =>
    Math.min(
      most,
      stream.chance(0.5) ? stream.pick([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65]) : stream.integer(1, most),
    )
  const dim = (most: number): number => {
    const drawn = size(most)
    if (kind.chance(0.5)) return 4 * Math.ceil(drawn / 4)
    return drawn % 4 === 0 ? drawn + 1 : drawn
  }
  const floatDtype = (): FloatDtype => kind.pick(['float32', 'float32', 'float16', 'bfloat16'])
  const leading = (): number[] => Array.from({ length: stream.integer(0, 3) }, () => size(6))
  const numbers = (shape: readonly number[], deviation: number): Float64Array =>
    Float64Array.from({ length: rowsOf(shape) }, () => deviation * stream.normal())
  const place = (values: ArrayLike<number>, shape: readonly number[], dtype: Dtype): HostTensor => {
    const tensor = guarded(values, shape, dtype, kind.pick(layouts), stream)
    placed.push(tensor)
    return tensor.tensor
  }
  return {
    number,
    stream,
    kind,
    name: token,
    size,
    length: (most) => size(stream.chance(0.1) ? 40 : most),
    dim,
    leading,
    numbers,
    place,
    shape: () => [...leading(), size(40)],
    floatDtype: floatDtype(),
    floats: (shape, deviation = 1) => place(numbers(shape, deviation), shape, floatDtype()),
    expectUntouched() {
      for (const tensor of placed) expect(tensor.changed(), token).toBeUndefined()
    },
  }
}

export function rowsOf(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1)
}
