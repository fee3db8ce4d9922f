/**
 * tanh |x| = (1 − e) / (1 + e) with e = e^(−2|x|), off by a unit or two of 2⁻²⁴; the sign is put back by its bit.
 */
import { exp } from './exp'
import { splat } from './vector'

// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const signBit = i32x4.splat(0x80000000)
  const e = exp(f32x4.mul(f32x4.abs(x), splat(-2)))
  const size = f32x4.div(f32x4.sub(splat(1), e), f32x4.add(splat(1), e))
  return v128.or(size, v128.and(x, signBit))
}
