/**
 * The few vector operations that every kernel is made of. Both binaries are compiled from the same sources; they differ
 * in `multiplyAdd` alone, which relaxed SIMD does in one instruction and one rounding.
 */

export const negativeInfinity: f32 = -Infinity

/** a · b + c */
// @ts-ignore: decorator
@inline
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(f32x4.mul(a, b), c)
}

/** c − a · b */
// @ts-ignore: decorator
@inline
export function negativeMultiplyAdd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c)
  return f32x4.sub(c, f32x4.mul(a, b))
}

// @ts-ignore: decorator
@inline
export function splat(value: f32): v128 {
  return f32x4.splat(value)
}

/** The four lanes' sum, always added in this order. */
// @ts-ignore: decorator
@inline
export function sumOfLanes(x: v128): f32 {
  const pairs = f32x4.add(x, i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7))
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1)
}

/** The largest of the four lanes; NaN where one is. */
// @ts-ignore: decorator
@inline
export function largestOfLanes(x: v128): f32 {
  return max(
    max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)),
    max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)),
  )
}

/** a₀ b₀ a₁ b₁ */
// @ts-ignore: decorator
@inline
export function interleaveLow(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23)
}

/** a₂ b₂ a₃ b₃ */
// @ts-ignore: decorator
@inline
export function interleaveHigh(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31)
}

/** a₀ a₁ b₀ b₁ */
// @ts-ignore: decorator
@inline
export function lowHalves(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
}

/** a₂ a₃ b₂ b₃ */
// @ts-ignore: decorator
@inline
export function highHalves(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
}
