/**
 * e^x in four lanes, off by less than one unit in the last place where the result is a normal number.
 *
 *     n = round(x / ln 2)          by adding 1.5·2²³ + 127, which leaves n + 127 in the low bits
 *     r = x − n·ln 2               ln 2 in two parts, so that r is exact to float32; |r| ≤ ln 2 / 2
 *     e^r ≈ 1 + r + r²·p(r)        p of degree 4 (Cephes' expf)
 *     e^x = 2ⁿ · e^r               the bits of 2ⁿ are (n + 127) « 23
 *
 * Below −87.33, where e^x leaves the normal range, it is 0: so e^−∞ = 0. NaN stays NaN. Above 88 it is wrong; softmax
 * never gets there, others clamp.
 */
import { multiplyAdd, negativeMultiplyAdd } from './vector'

/** log₂e, 1.5·2²³ + 127, ln 2 in two parts, p's coefficients from the highest, 1, and where e^x becomes 0. */
// @ts-ignore: decorator
@lazy const table = memory.data<f32>([
  1.44269504, 12583039.0, 0.693359375, -2.12194440e-4,
  1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
  1.0, -87.33,
])

// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const shifted = multiplyAdd(x, v128.load32_splat(table, 0), v128.load32_splat(table, 4))
  const n = f32x4.sub(shifted, v128.load32_splat(table, 4))
  let r = negativeMultiplyAdd(n, v128.load32_splat(table, 8), x)
  r = negativeMultiplyAdd(n, v128.load32_splat(table, 12), r)
  let p = multiplyAdd(v128.load32_splat(table, 16), r, v128.load32_splat(table, 20))
  p = multiplyAdd(p, r, v128.load32_splat(table, 24))
  p = multiplyAdd(p, r, v128.load32_splat(table, 28))
  p = multiplyAdd(p, r, v128.load32_splat(table, 32))
  p = multiplyAdd(p, r, v128.load32_splat(table, 36))
  p = multiplyAdd(p, f32x4.mul(r, r), r)
  p = f32x4.add(p, v128.load32_splat(table, 40))
  const power = i32x4.shl(shifted, 23)
  return v128.andnot(f32x4.mul(p, power), f32x4.lt(x, v128.load32_splat(table, 44)))
}
