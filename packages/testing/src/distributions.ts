import type { Dtype } from '@qkv/core'
import type { Random } from './random.ts'

/** Where values come from: ordinary ones, and those that break kernels. */
export type Distribution =
  | 'normal'
  /** Scores near zero: weights almost equal. */
  | 'small'
  /** Scores of about ±25: a few keys take all. */
  | 'large'
  /** Values near 1000: their sum cancels nothing, their differences everything. */
  | 'offset'
  /** One element in fifty is fifty times as large. */
  | 'outliers'
  /** Keys point away from the queries: scores far below zero beside ordinary ones. */
  | 'anti-aligned'
  /** All scores far below zero: a running maximum that starts at 0 is wrong. */
  | 'negative'
  /** Scores ascend with the key: the running maximum rises at every key. */
  | 'ascending'
  /** Scores of 10³⁰ (10⁸ for float16): exp of anything but a difference overflows. */
  | 'huge'
  /** Small whole numbers: many equal scores. */
  | 'ties'
  /** Values below the smallest normal number of the dtype. */
  | 'subnormal'

export const distributions: readonly Distribution[] = [
  'normal',
  'small',
  'large',
  'offset',
  'outliers',
  'anti-aligned',
  'negative',
  'ascending',
  'huge',
  'ties',
  'subnormal',
]

export interface Vectors {
  readonly query: Float64Array
  readonly key: Float64Array
  readonly value: Float64Array
}

export interface VectorSizes {
  /** Vectors in each tensor. */
  readonly queries: number
  readonly keys: number
  readonly headDim: number
  readonly valueDim: number
  readonly keyLength: number
  readonly dtype: Dtype
}

export function drawVectors(distribution: Distribution, sizes: VectorSizes, random: Random): Vectors {
  const { queries, keys, headDim, valueDim, keyLength, dtype } = sizes
  const draw = (count: number, next: (index: number) => number): Float64Array =>
    Float64Array.from({ length: count }, (_, index) => next(index))
  const normal = (): number => random.normal()
  const query = (next: (index: number) => number = normal): Float64Array => draw(queries * headDim, next)
  const key = (next: (index: number) => number = normal): Float64Array => draw(keys * headDim, next)
  const value = (next: (index: number) => number = normal): Float64Array => draw(keys * valueDim, next)
  switch (distribution) {
    case 'normal':
      return { query: query(), key: key(), value: value() }
    case 'small':
      return { query: query(() => 0.01 * normal()), key: key(() => 0.1 * normal()), value: value(() => 0.01 * normal()) }
    case 'large':
      return { query: query(() => 5 * normal()), key: key(() => 5 * normal()), value: value() }
    case 'offset':
      return { query: query(), key: key(), value: value(() => 1000 + normal()) }
    case 'outliers': {
      const next = (): number => (random.chance(0.02) ? 50 : 1) * normal()
      return { query: query(next), key: key(next), value: value(next) }
    }
    case 'anti-aligned': {
      const towards = query()
      const away = (index: number): number => (random.chance(0.1) ? 1 : -2 * (towards[index % Math.max(1, headDim)] ?? 1))
      return { query: towards, key: key((index) => away(index) + 0.1 * normal()), value: value() }
    }
    case 'negative':
      return { query: query(() => 4 + Math.abs(normal())), key: key(() => -4 - Math.abs(normal())), value: value() }
    case 'ascending': {
      const position = (index: number): number => Math.floor(index / headDim) % Math.max(1, keyLength)
      return { query: query(() => 1 + 0.01 * normal()), key: key((index) => (position(index) / headDim) * 0.5 - 3), value: value() }
    }
    case 'huge': {
      const size = dtype === 'float16' ? 1e4 : 1e15
      const next = (): number => size * Math.max(-6, Math.min(6, normal()))
      return { query: query(next), key: key(next), value: value() }
    }
    case 'ties': {
      const next = (): number => random.integer(-2, 2)
      return { query: query(next), key: key(next), value: value(next) }
    }
    case 'subnormal': {
      const smallest = dtype === 'float16' ? 2 ** -15 : 2 ** -127
      return { query: query(), key: key(), value: value(() => smallest * normal()) }
    }
  }
}
