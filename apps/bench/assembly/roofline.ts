/** What this machine can do at most, as WebAssembly sees it. */

/**
 * Twelve independent chains of 4-wide multiply-adds: enough to keep every unit busy. 96 operations a round. Both factors come from
 * outside: V8 makes constants anew in every round, at four times the cost.
 */
export function multiplyAdds(rounds: i32, x: f32, y: f32): f32 {
  const a = f32x4.splat(x)
  const b = f32x4.splat(y)
  let s0 = b, s1 = b, s2 = b, s3 = b, s4 = b, s5 = b, s6 = b, s7 = b, s8 = b, s9 = b, s10 = b, s11 = b
  for (let round = 0; round < rounds; round++) {
    s0 = multiplyAdd(s0, a, b)
    s1 = multiplyAdd(s1, a, b)
    s2 = multiplyAdd(s2, a, b)
    s3 = multiplyAdd(s3, a, b)
    s4 = multiplyAdd(s4, a, b)
    s5 = multiplyAdd(s5, a, b)
    s6 = multiplyAdd(s6, a, b)
    s7 = multiplyAdd(s7, a, b)
    s8 = multiplyAdd(s8, a, b)
    s9 = multiplyAdd(s9, a, b)
    s10 = multiplyAdd(s10, a, b)
    s11 = multiplyAdd(s11, a, b)
  }
  const sum = f32x4.add(
    f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)),
    f32x4.add(f32x4.add(f32x4.add(s4, s5), f32x4.add(s6, s7)), f32x4.add(f32x4.add(s8, s9), f32x4.add(s10, s11))),
  )
  return f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) + f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3)
}

/** Reads `bytes` from the start of memory, 64 at a time. */
export function readAll(bytes: usize): i32 {
  let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0
  for (let at: usize = 0; at < bytes; at += 64) {
    s0 = v128.xor(s0, v128.load(at, 0))
    s1 = v128.xor(s1, v128.load(at, 16))
    s2 = v128.xor(s2, v128.load(at, 32))
    s3 = v128.xor(s3, v128.load(at, 48))
  }
  return i32x4.extract_lane(v128.xor(v128.xor(s0, s1), v128.xor(s2, s3)), 0)
}

/**
 * A chain of rotations and exclusive ors, each of which waits for the one before: one a cycle on any processor. The 32 of a round
 * drown the loop's own work, so that rounds tell the clock.
 */
export function oneByOne(rounds: i32, x: i32): i32 {
  let chain = x
  for (let round = 0; round < rounds; round++) chain = eight(eight(eight(eight(chain, x), x), x), x)
  return chain
}

// @ts-ignore: decorator
@inline
function eight(chain: i32, x: i32): i32 {
  return rotl(rotl(rotl(rotl(chain, 7) ^ x, 7) ^ x, 7) ^ x, 7) ^ x
}

/** Without the fused instruction s·a + b, for a·b would be multiplied once for all. */
// @ts-ignore: decorator
@inline
function multiplyAdd(s: v128, a: v128, b: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, s) : f32x4.add(f32x4.mul(s, a), b)
}
