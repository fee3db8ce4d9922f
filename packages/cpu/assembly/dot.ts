/** Products of vectors as they lie, for rows too few to pay for packing what they are multiplied by. */
import { multiplyAdd, splat } from './vector'

/** The sums of four vectors' lanes, as one vector. */
// @ts-ignore: decorator
@inline
function sumsOfLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(
    i8x16.shuffle(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23),
    i8x16.shuffle(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31),
  )
  const cd = f32x4.add(
    i8x16.shuffle(c, d, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23),
    i8x16.shuffle(c, d, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31),
  )
  return f32x4.add(
    i8x16.shuffle(ab, cd, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
    i8x16.shuffle(ab, cd, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31),
  )
}

/**
 * Four rows times two vectors: (rows · a) goes to `target`, (rows · b) `targetStep` bytes on. All are `rowBytes` long, a whole
 * number of vectors.
 */
export function dotTwoVectors(a: usize, b: usize, rows: usize, rowBytes: usize, target: usize, targetStep: usize): void {
  const r1 = rows + rowBytes, r2 = r1 + rowBytes, r3 = r2 + rowBytes
  let a0 = splat(0), a1 = splat(0), a2 = splat(0), a3 = splat(0)
  let b0 = splat(0), b1 = splat(0), b2 = splat(0), b3 = splat(0)
  for (let i: usize = 0; i < rowBytes; i += 16) {
    const ka = v128.load(a + i), kb = v128.load(b + i)
    let x = v128.load(rows + i)
    a0 = multiplyAdd(x, ka, a0), b0 = multiplyAdd(x, kb, b0)
    x = v128.load(r1 + i), a1 = multiplyAdd(x, ka, a1), b1 = multiplyAdd(x, kb, b1)
    x = v128.load(r2 + i), a2 = multiplyAdd(x, ka, a2), b2 = multiplyAdd(x, kb, b2)
    x = v128.load(r3 + i), a3 = multiplyAdd(x, ka, a3), b3 = multiplyAdd(x, kb, b3)
  }
  v128.store(target, sumsOfLanes(a0, a1, a2, a3))
  v128.store(target + targetStep, sumsOfLanes(b0, b1, b2, b3))
}

/** One row times four vectors. Two accumulators each, so that additions need not wait for each other. */
export function dotFourVectors(row: usize, a: usize, b: usize, c: usize, d: usize, rowBytes: usize): v128 {
  let a0 = splat(0), b0 = splat(0), c0 = splat(0), d0 = splat(0)
  let a1 = splat(0), b1 = splat(0), c1 = splat(0), d1 = splat(0)
  const pairs = rowBytes & ~31
  for (let i: usize = 0; i < pairs; i += 32) {
    const x = v128.load(row + i), y = v128.load(row + i, 16)
    a0 = multiplyAdd(x, v128.load(a + i), a0), a1 = multiplyAdd(y, v128.load(a + i, 16), a1)
    b0 = multiplyAdd(x, v128.load(b + i), b0), b1 = multiplyAdd(y, v128.load(b + i, 16), b1)
    c0 = multiplyAdd(x, v128.load(c + i), c0), c1 = multiplyAdd(y, v128.load(c + i, 16), c1)
    d0 = multiplyAdd(x, v128.load(d + i), d0), d1 = multiplyAdd(y, v128.load(d + i, 16), d1)
  }
  if (pairs != rowBytes) {
    const x = v128.load(row + pairs)
    a0 = multiplyAdd(x, v128.load(a + pairs), a0), b0 = multiplyAdd(x, v128.load(b + pairs), b0)
    c0 = multiplyAdd(x, v128.load(c + pairs), c0), d0 = multiplyAdd(x, v128.load(d + pairs), d0)
  }
  return sumsOfLanes(f32x4.add(a0, a1), f32x4.add(b0, b1), f32x4.add(c0, c1), f32x4.add(d0, d1))
}
