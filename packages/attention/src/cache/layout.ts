import { bytesPerElement, type Dtype, type FloatDtype } from '@qkv/core'
import { checkCount, checkSizes, invalid } from '../refuse.ts'

/** How a cache keeps elements. int8 and int4 are whole numbers with a float32 scale for each group of a vector. */
export type CacheDtype = FloatDtype | 'int8' | 'int4'

const cacheDtypes: readonly CacheDtype[] = ['float32', 'float16', 'bfloat16', 'int8', 'int4']

/** The sizes of the keys and values that a cache keeps. */
export interface CacheOptions {
  /** Default 1. */
  readonly batch?: number | undefined
  /** Key/value heads. */
  readonly heads: number
  readonly headDim: number
  /** Default `headDim`; 0 where values are views of the keys, as in latent attention. */
  readonly valueDim?: number | undefined
  /** Default float32. */
  readonly dtype?: CacheDtype | undefined
  /** How many elements share a scale in int8 and int4; divides both dims. Default 32, or its greatest divisor that does. */
  readonly groupSize?: number | undefined
}

/** {@link CacheOptions} with nothing left out. */
export interface CacheLayout {
  readonly batch: number
  readonly heads: number
  readonly headDim: number
  readonly valueDim: number
  readonly dtype: CacheDtype
  /** 0 unless elements are quantised. */
  readonly groupSize: number
}

/** @throws QkvError `OPTION_INVALID` naming the option at fault. */
export function cacheLayout(operation: string, options: CacheOptions): CacheLayout {
  const { batch = 1, heads, headDim, valueDim = headDim, dtype = 'float32' } = options
  checkSizes(operation, { batch, heads, headDim })
  checkCount(operation, 'valueDim', valueDim, 0)
  if (!cacheDtypes.includes(dtype)) throw invalid(operation, 'dtype', `one of ${cacheDtypes.join(', ')}`, String(dtype))
  const layout = { batch, heads, headDim, valueDim, dtype }
  if (!isQuantized(dtype)) return { ...layout, groupSize: 0 }
  const groupSize = options.groupSize ?? greatestDivisor(32, greatestDivisor(headDim, valueDim))
  checkCount(operation, 'groupSize', groupSize)
  if (headDim % groupSize !== 0 || valueDim % groupSize !== 0 || (dtype === 'int4' && groupSize % 2 !== 0)) {
    const expected = `a divisor of head size ${headDim} and value size ${valueDim}, even for int4`
    throw invalid(operation, 'groupSize', expected, String(groupSize))
  }
  return { ...layout, groupSize }
}

/** The greatest number that divides both. */
function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b)
}

export function isQuantized(dtype: CacheDtype): dtype is 'int8' | 'int4' {
  return dtype === 'int8' || dtype === 'int4'
}

/** How a vector of `dim` elements is stored: two int4 elements share a byte. */
export function storedVector({ dtype, groupSize }: CacheLayout, dim: number): { dtype: Dtype; elements: number; scales: number } {
  switch (dtype) {
    case 'int8':
      return { dtype: 'int8', elements: dim, scales: dim / groupSize }
    case 'int4':
      return { dtype: 'uint8', elements: dim / 2, scales: dim / groupSize }
    default:
      return { dtype, elements: dim, scales: 0 }
  }
}

/**
 * Exactly how many bytes a cache holds for `tokens` tokens of one layer, scales included.
 *
 *     32 * cacheBytes({ heads: 32, headDim: 128, dtype: 'float16' }, 4096)   // Llama 2 7B: 2 GiB
 *     32 * cacheBytes({ heads: 8, headDim: 128, dtype: 'float16' }, 4096)    // Llama 3 8B: 512 MiB
 */
export function cacheBytes(options: CacheOptions, tokens: number): number {
  const layout = cacheLayout('cacheBytes', options)
  const vector = (dim: number): number => {
    const { dtype, elements, scales } = storedVector(layout, dim)
    return elements * bytesPerElement[dtype] + scales * bytesPerElement.float32
  }
  return layout.batch * layout.heads * tokens * (vector(layout.headDim) + vector(layout.valueDim))
}
