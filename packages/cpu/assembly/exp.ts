/**
 * e^x in four lanes, off by less than 1.2 units in the last place where the result is a normal number (0.9 with fused
 * multiply-adds).
 *
 *     n = round(x / ln 2)          by adding 1.5·2²³ + 127, which leaves n + 127 in the low bits
 *     r = x − n·ln 2               |r| ≤ ln 2 / 2
 *     e^r ≈ 1 + r·(1 + r·p(r))     p of degree 4, minimax: off by 0.06 of a rounding
 *     e^x = 2ⁿ · e^r               the bits of 2ⁿ are (n + 127) « 23
 *
 * x is raised to −88 first, where n + 127 is 0 and its bits are those of 0: so e^−∞ = 0. NaN stays NaN. Above 88 the
 * result is wrong; softmax never gets there, others clamp.
 */
import { multiplyAdd, negativeMultiplyAdd } from './vector'

/**
 * −88, log₂e, 1.5·2²³ + 127, ln 2 in two parts, p's coefficients from the highest, and 1. They are read from memory, where
 * a read is part of the instruction: engines would make vector constants anew at each use.
 */
// @ts-ignore: decorator
@lazy const table = memory.data<f32>([
  -88, 1.44269504, 12583039.0, 0.693359375, -2.12194440e-4,
  0.0013814540579915047, 0.00836874544620514, 0.04166838899254799, 0.1666652113199234, 0.4999999403953552,
  1.0,
])

// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const rounder = v128.load32_splat(table, 8)
  x = f32x4.pmax(x, v128.load32_splat(table))
  const shifted = multiplyAdd(x, v128.load32_splat(table, 4), rounder)
  const n = f32x4.sub(shifted, rounder)
  const r = negativeMultiplyAdd(n, v128.load32_splat(table, 16), negativeMultiplyAdd(n, v128.load32_splat(table, 12), x))
  let p = multiplyAdd(v128.load32_splat(table, 20), r, v128.load32_splat(table, 24))
  p = multiplyAdd(p, r, v128.load32_splat(table, 28))
  p = multiplyAdd(p, r, v128.load32_splat(table, 32))
  p = multiplyAdd(p, r, v128.load32_splat(table, 36))
  p = multiplyAdd(p, r, v128.load32_splat(table, 40))
  p = multiplyAdd(p, r, v128.load32_splat(table, 40))
  return f32x4.mul(p, i32x4.shl(shifted, 23))
}

/** Of four vectors at once, side by side, so that each constant is read once for all. Stores them one after the other. */
// @ts-ignore: decorator
@inline
export function expOfFour(x0: v128, x1: v128, x2: v128, x3: v128, target: usize): void {
  let c = v128.load32_splat(table)
  x0 = f32x4.pmax(x0, c), x1 = f32x4.pmax(x1, c), x2 = f32x4.pmax(x2, c), x3 = f32x4.pmax(x3, c)
  c = v128.load32_splat(table, 4)
  let d = v128.load32_splat(table, 8)
  const s0 = multiplyAdd(x0, c, d), s1 = multiplyAdd(x1, c, d), s2 = multiplyAdd(x2, c, d), s3 = multiplyAdd(x3, c, d)
  const n0 = f32x4.sub(s0, d), n1 = f32x4.sub(s1, d), n2 = f32x4.sub(s2, d), n3 = f32x4.sub(s3, d)
  c = v128.load32_splat(table, 12), d = v128.load32_splat(table, 16)
  const r0 = negativeMultiplyAdd(n0, d, negativeMultiplyAdd(n0, c, x0)), r1 = negativeMultiplyAdd(n1, d, negativeMultiplyAdd(n1, c, x1))
  const r2 = negativeMultiplyAdd(n2, d, negativeMultiplyAdd(n2, c, x2)), r3 = negativeMultiplyAdd(n3, d, negativeMultiplyAdd(n3, c, x3))
  c = v128.load32_splat(table, 20), d = v128.load32_splat(table, 24)
  let p0 = multiplyAdd(c, r0, d), p1 = multiplyAdd(c, r1, d), p2 = multiplyAdd(c, r2, d), p3 = multiplyAdd(c, r3, d)
  c = v128.load32_splat(table, 28), d = v128.load32_splat(table, 32)
  p0 = multiplyAdd(multiplyAdd(p0, r0, c), r0, d), p1 = multiplyAdd(multiplyAdd(p1, r1, c), r1, d)
  p2 = multiplyAdd(multiplyAdd(p2, r2, c), r2, d), p3 = multiplyAdd(multiplyAdd(p3, r3, c), r3, d)
  c = v128.load32_splat(table, 36), d = v128.load32_splat(table, 40)
  p0 = multiplyAdd(multiplyAdd(p0, r0, c), r0, d), p1 = multiplyAdd(multiplyAdd(p1, r1, c), r1, d)
  p2 = multiplyAdd(multiplyAdd(p2, r2, c), r2, d), p3 = multiplyAdd(multiplyAdd(p3, r3, c), r3, d)
  p0 = multiplyAdd(p0, r0, d), p1 = multiplyAdd(p1, r1, d), p2 = multiplyAdd(p2, r2, d), p3 = multiplyAdd(p3, r3, d)
  v128.store(target, f32x4.mul(p0, i32x4.shl(s0, 23)))
  v128.store(target, f32x4.mul(p1, i32x4.shl(s1, 23)), 16)
  v128.store(target, f32x4.mul(p2, i32x4.shl(s2, 23)), 32)
  v128.store(target, f32x4.mul(p3, i32x4.shl(s3, 23)), 48)
}
