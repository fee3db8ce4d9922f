/**
 * Stored elements as float32: halves and quantised elements are converted in registers, on their way into a tile.
 *
 * A half's exponent and mantissa, moved to float32's place, make a number 2¹¹² too small; one exact multiplication puts
 * that right, for subnormals too. Infinity and NaN are the only ones that then reach 2¹⁶: they get the exponent of all ones.
 */
import { bfloat16, bool, float16, float32, int4, int8 } from '../src/wasm/record'

/** One element of a float dtype or a bool. */
// @ts-ignore: decorator
@inline
export function loadElement(address: usize, dtype: i32): f32 {
  if (dtype == float32) return load<f32>(address)
  if (dtype == bool) return f32(load<u8>(address))
  const bits = load<u16>(address)
  return dtype == bfloat16 ? reinterpret<f32>(u32(bits) << 16) : f32x4.extract_lane(halvesToFloats(i32x4.splat(i32(i16(bits)))), 0)
}

/** Halves, sign-extended to 32 bits, as float32. */
// @ts-ignore: decorator
@inline
export function halvesToFloats(halves: v128): v128 {
  const moved = v128.and(i32x4.shl(halves, 13), v128.load32_splat(table))
  const value = f32x4.mul(moved, v128.load32_splat(table, 4))
  const special = f32x4.ge(f32x4.abs(value), v128.load32_splat(table, 8))
  return v128.or(value, v128.and(special, v128.load32_splat(table, 12)))
}

/** A half's sign, exponent and mantissa in float32's places; 2¹¹²; 2¹⁶; an exponent of all ones, of a float and two halves. */
// @ts-ignore: decorator
@lazy const table = memory.data<u32>([0x8fffe000, 0x77800000, 0x47800000, 0x7f800000, 0x7c007c00])

/** Stores one float as an element of a float dtype, rounded to nearest, ties to even. */
export function storeElement(address: usize, dtype: i32, value: f32): void {
  if (dtype == float32) store<f32>(address, value)
  else store<u16>(address, dtype == bfloat16 ? toBfloat16(value) : toFloat16(value))
}

function toBfloat16(value: f32): u32 {
  const bits = reinterpret<u32>(value)
  if (value != value) return (bits >> 16) | 0x40
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16
}

/**
 * In the normal range the lowest 13 mantissa bits are rounded away in integer arithmetic, where a carry rightly reaches
 * the exponent. Below it, adding 0.5 makes the float32 adder itself round at 2⁻²⁴, the step of subnormal halves.
 */
function toFloat16(value: f32): u32 {
  const bits = reinterpret<u32>(value)
  const sign = (bits >> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude < 0x38800000) return sign | (reinterpret<u32>(reinterpret<f32>(magnitude) + 0.5) - 0x3f000000)
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13)
}

/** `n` elements, `step` bytes apart, of a float dtype, as float32 without gaps. */
export function loadElements(source: usize, step: i32, dtype: i32, n: i32, target: usize): void {
  if (dtype == float32 && step == 4) {
    memory.copy(target, source, usize(n) << 2)
    return
  }
  const end = target + (usize(n) << 2)
  if (dtype != float32 && step == 2) {
    const whole = target + (usize(n & ~7) << 2)
    if (dtype == float16) while (target < whole) loadEightHalves(source, target), source += 16, target += 32
    else while (target < whole) loadEightBfloats(source, target), source += 16, target += 32
  }
  for (; target != end; source += step, target += 4) store<f32>(target, loadElement(source, dtype))
}

/** The same where they lie, if they lie so already, and else in `room`. */
// @ts-ignore: decorator
@inline
export function asFloats(source: usize, step: i32, dtype: i32, n: i32, room: usize): usize {
  if (dtype == float32 && step == 4) return source
  loadElements(source, step, dtype, n, room)
  return room
}

/** Bytes of an element of a float dtype. */
// @ts-ignore: decorator
@inline
export function floatBytes(dtype: i32): i32 {
  return dtype == float32 ? 4 : 2
}

/** Infinity and NaN are looked for once for all eight. */
// @ts-ignore: decorator
@inline
function loadEightHalves(source: usize, target: usize): void {
  const halves = v128.load(source)
  const low = i32x4.extend_low_i16x8_s(halves), high = i32x4.extend_high_i16x8_s(halves)
  const exponent = v128.load32_splat(table, 16)
  if (v128.any_true(i16x8.eq(v128.and(halves, exponent), exponent))) {
    v128.store(target, halvesToFloats(low))
    v128.store(target, halvesToFloats(high), 16)
    return
  }
  const places = v128.load32_splat(table), power = v128.load32_splat(table, 4)
  v128.store(target, f32x4.mul(v128.and(i32x4.shl(low, 13), places), power))
  v128.store(target, f32x4.mul(v128.and(i32x4.shl(high, 13), places), power), 16)
}

/** A bfloat16 is a float32's upper half. */
// @ts-ignore: decorator
@inline
function loadEightBfloats(source: usize, target: usize): void {
  const halves = v128.load(source), zero = i32x4.splat(0)
  v128.store(target, i8x16.shuffle(zero, halves, 0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23))
  v128.store(target, i8x16.shuffle(zero, halves, 8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31), 16)
}

/** The inverse of {@link loadElements}, for float dtypes. */
export function storeElements(source: usize, n: i32, target: usize, step: i32, dtype: i32): void {
  if (dtype == float32 && step == 4) {
    memory.copy(target, source, usize(n) << 2)
    return
  }
  for (let i = 0; i < n; i++) storeElement(target + i * step, dtype, load<f32>(source + (usize(i) << 2)))
}

/**
 * `n` quantised elements as float32. Each `size` of them share a scale, the float32 at `scales` and every `scaleStep`
 * bytes on. int8 lies `step` bytes apart; of int4, two a byte, the even one in the low bits, stands for (bits − 8) · scale.
 */
export function loadQuantized(
  source: usize, step: i32, dtype: i32, n: i32, scales: usize, scaleStep: i32, size: i32, target: usize,
): void {
  for (let i = 0; i < n; scales += scaleStep) {
    const scale = load<f32>(scales)
    const end = min(n, i + size)
    if (dtype == int8 && step == 1) {
      const factor = f32x4.splat(scale)
      for (; i + 8 <= end; i += 8) {
        const wide = v128.load8x8_s(source + i)
        const at = target + (usize(i) << 2)
        v128.store(at, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(wide))))
        v128.store(at, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(wide))), 16)
      }
    }
    for (; i < end; i++) {
      const element = dtype == int4
        ? ((i32(load<u8>(source + (i >> 1) * step)) >> ((i & 1) << 2)) & 15) - 8
        : i32(load<i8>(source + i * step))
      store<f32>(target + (usize(i) << 2), f32(element) * scale)
    }
  }
}
