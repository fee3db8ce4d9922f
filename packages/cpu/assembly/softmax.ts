/**
 * Online softmax over a panel of 8 rows, whose scores lie as s[key][8]: rows are lanes, so nothing is ever summed across
 * lanes. For each row a running maximum m and sum l = Σ e^(s − m) are kept; a tile of scores s turns into weights
 *
 *     m' = max(m, max s)     p = e^(s − m')     l' = l · e^(m − m') + Σ p
 *
 * and e^(m − m') is left for whoever holds sums made under m. A row that has seen no key has m = −∞; its weights are
 * taken against 0 instead, so that they are e^−∞ = 0 and not e^(∞ − ∞).
 */
import { exp, expOfFour } from './exp'
import { multiplyAdd, negativeInfinity, splat } from './vector'

/** Bytes of one key's scores in a panel. */
export const keyScoresBytes: i32 = 32

/** `m`, `l` and `rescale` point at 8 floats each; of the rows only the first `rowCount` need be looked at. */
export function softmaxTile(s: usize, keys: i32, m: usize, l: usize, rescale: usize, rowCount: i32): void {
  if (rowCount > 4) softmaxOfEight(s, keys, m, l, rescale)
  else softmaxOfFour(s, keys, m, l, rescale)
}

function softmaxOfEight(s: usize, keys: i32, m: usize, l: usize, rescale: usize): void {
  const end = s + usize(keys) * keyScoresBytes
  const before0 = v128.load(m), before1 = v128.load(m, 16)
  let m0 = before0, m1 = before1
  for (let at = s; at < end; at += keyScoresBytes) {
    m0 = f32x4.pmax(m0, v128.load(at))
    m1 = f32x4.pmax(m1, v128.load(at, 16))
  }
  v128.store(m, m0)
  v128.store(m, m1, 16)
  m0 = zeroWhereEmpty(m0)
  m1 = zeroWhereEmpty(m1)
  let l0 = splat(0), l1 = splat(0)
  let at = s
  for (; at + 64 <= end; at += 64) {
    expOfFour(
      f32x4.sub(v128.load(at), m0), f32x4.sub(v128.load(at, 16), m1),
      f32x4.sub(v128.load(at, 32), m0), f32x4.sub(v128.load(at, 48), m1), at,
    )
    l0 = f32x4.add(f32x4.add(l0, v128.load(at)), v128.load(at, 32))
    l1 = f32x4.add(f32x4.add(l1, v128.load(at, 16)), v128.load(at, 48))
  }
  if (at < end) {
    const p0 = exp(f32x4.sub(v128.load(at), m0)), p1 = exp(f32x4.sub(v128.load(at, 16), m1))
    v128.store(at, p0)
    v128.store(at, p1, 16)
    l0 = f32x4.add(l0, p0)
    l1 = f32x4.add(l1, p1)
  }
  const rescale0 = exp(f32x4.sub(before0, m0)), rescale1 = exp(f32x4.sub(before1, m1))
  v128.store(rescale, rescale0)
  v128.store(rescale, rescale1, 16)
  v128.store(l, multiplyAdd(v128.load(l), rescale0, l0))
  v128.store(l, multiplyAdd(v128.load(l, 16), rescale1, l1), 16)
}

function softmaxOfFour(s: usize, keys: i32, m: usize, l: usize, rescale: usize): void {
  const end = s + usize(keys) * keyScoresBytes
  const before = v128.load(m)
  let m0 = before
  for (let at = s; at < end; at += keyScoresBytes) m0 = f32x4.pmax(m0, v128.load(at))
  v128.store(m, m0)
  m0 = zeroWhereEmpty(m0)
  let l0 = splat(0)
  for (let at = s; at < end; at += keyScoresBytes) {
    const p0 = exp(f32x4.sub(v128.load(at), m0))
    v128.store(at, p0)
    l0 = f32x4.add(l0, p0)
  }
  const rescale0 = exp(f32x4.sub(before, m0))
  v128.store(rescale, rescale0)
  v128.store(l, multiplyAdd(v128.load(l), rescale0, l0))
}

// @ts-ignore: decorator
@inline
export function zeroWhereEmpty(m: v128): v128 {
  return v128.andnot(m, f32x4.eq(m, splat(negativeInfinity)))
}
