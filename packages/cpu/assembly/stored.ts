/**
 * Elements as they are stored, four at a time, as float32 on their way into a product. A dtype is a type parameter here,
 * since conditions on types are settled when the kernels are compiled: f32, {@link half}, {@link bfloat} and i8.
 *
 * What an element lacks is a factor, which is cheaper to give to the other side of the product or to its result: halves come
 * out 2¹¹² times too small, since their exponents keep float16's bias, and int8 without its scale. Infinite and NaN halves
 * come out finite: who uses this has looked for them.
 */
export type half = u16
export type bfloat = i16

// @ts-ignore: decorator
@inline
export function isHalf<T>(): bool {
  return sizeof<T>() == 2 && !isSigned<T>()
}

// @ts-ignore: decorator
@inline
export function loadFour<T>(at: usize): v128 {
  if (isFloat<T>()) return v128.load(at)
  if (sizeof<T>() == 1) return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(at))))
  // A bfloat16 is a float32's upper half; of a half, sign-extended, exponent and mantissa belong 13 places higher.
  if (isSigned<T>()) return i8x16.shuffle(i32x4.splat(0), v128.load64_zero(at), 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23)
  return v128.and(i32x4.shl(v128.load16x4_s(at), 13), v128.load32_splat(halfPlaces))
}

/** A half's sign, exponent and mantissa in float32's places. */
// @ts-ignore: decorator
@lazy const halfPlaces = memory.data<u32>([0x8fffe000])

/** 2¹¹². Of it, queries are given 2⁶⁴, so that no sum of products gets too small, and scores the rest. */
export const halfFactor: f32 = 5192296858534827628530496329220096.0
export const halfQueryFactor: f32 = 18446744073709551616.0
export const halfScoreFactor: f32 = 281474976710656.0
