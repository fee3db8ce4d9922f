/**
 * Which weights survive dropout, as `dropoutHash` of core has it: a hash of the pair's batch, head, row and key, so that
 * any tiling drops the same. Four rows are hashed at once, in 32-bit integers.
 */
import * as record from '../src/wasm/record'
import { int } from './problem'
import * as rows from './rows'
import { keyScoresBytes } from './softmax'

/** Weights lie as p[key][8 rows]. */
export function dropWeights(problem: usize, panel: usize, p: usize, firstKey: i32, keys: i32): void {
  const threshold = i32x4.splat(int(problem, record.dropoutThreshold))
  const keep = f32x4.splat(load<f32>(problem, record.dropoutScale))
  for (let half = 0; half < 32; half += 16) {
    const rowHash = rowHashes(problem, panel + half)
    let at = p + half
    for (let key = firstKey; key < firstKey + keys; key++, at += keyScoresBytes) {
      const survives = i32x4.ge_u(mix(i32x4.add(rowHash, i32x4.splat(key))), threshold)
      v128.store(at, v128.and(survives, f32x4.mul(keep, v128.load(at))))
    }
  }
}

/** The hash of four rows, to which a key is then added. */
export function rowHashes(problem: usize, lanes: usize): v128 {
  let hash = mix(i32x4.splat(int(problem, record.dropoutSeed)))
  hash = mix(i32x4.add(hash, v128.load(lanes, rows.batches)))
  hash = mix(i32x4.add(hash, v128.load(lanes, rows.heads)))
  return mix(i32x4.add(hash, v128.load(lanes, rows.indices)))
}

/** `lowbias32` */
// @ts-ignore: decorator
@inline
export function mix(value: v128): v128 {
  let x = value
  x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 16)), i32x4.splat(0x7feb352d))
  x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 15)), i32x4.splat(0x846ca68b))
  return v128.xor(x, i32x4.shr_u(x, 16))
}
