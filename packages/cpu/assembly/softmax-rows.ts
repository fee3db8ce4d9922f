/**
 * Online softmax (softmax.ts says what it does) of single rows, whose scores lie side by side: keys are lanes here, so that a row
 * alone wastes nothing, and lanes are summed up once a tile. Scores of no key are made −∞, and so their weights 0.
 */
import { exp, expOfFour } from './exp'
import { largestOfLanes, negativeInfinity, splat, sumOfLanes } from './vector'

/** Turns `keys` scores into weights. `m`, `l` and `rescale` are the row's floats; `s` has room for whole sixteens. */
export function softmaxRow(s: usize, keys: i32, m: usize, l: usize, rescale: usize): void {
  const end = s + (usize(keys + 15 & -16) << 2)
  for (let at = s + (usize(keys) << 2); at < end; at += 4) store<f32>(at, negativeInfinity)
  const before = load<f32>(m)
  let m0 = splat(before), m1 = m0
  for (let at = s; at < end; at += 32) m0 = f32x4.pmax(m0, v128.load(at)), m1 = f32x4.pmax(m1, v128.load(at, 16))
  let largest = largestOfLanes(f32x4.pmax(m0, m1))
  store<f32>(m, largest)
  if (largest == negativeInfinity) largest = 0
  const max = splat(largest)
  let sum0 = splat(0), sum1 = sum0
  for (let at = s; at < end; at += 64) {
    expOfFour(
      f32x4.sub(v128.load(at), max), f32x4.sub(v128.load(at, 16), max),
      f32x4.sub(v128.load(at, 32), max), f32x4.sub(v128.load(at, 48), max), at,
    )
    sum0 = f32x4.add(f32x4.add(sum0, v128.load(at)), v128.load(at, 32))
    sum1 = f32x4.add(f32x4.add(sum1, v128.load(at, 16)), v128.load(at, 48))
  }
  const kept = f32x4.extract_lane(exp(splat(before - largest)), 0)
  store<f32>(rescale, kept)
  store<f32>(l, load<f32>(l) * kept + sumOfLanes(f32x4.add(sum0, sum1)))
}
