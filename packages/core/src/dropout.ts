import type { Dropout } from './problem.ts'

/**
 * Whether a pair's weight survives dropout. A hash of the pair, not a stream, so that it can be asked for in any order:
 * 32-bit integer arithmetic, the same in JavaScript, WebAssembly and WGSL. Kept where the hash is at least
 * {@link dropoutThreshold}.
 */
export function dropoutHash(seed: number, batch: number, head: number, row: number, key: number): number {
  return mix(mix(mix(mix(mix(seed) + batch) + head) + row) + key)
}

/** Hashes below this are dropped: the probability as a fraction of 2³². */
export function dropoutThreshold({ probability }: Dropout): number {
  return Math.floor(probability * 2 ** 32)
}

/** A bijection of 32 bits without visible bias (`lowbias32`, C. Wellons, Prospecting for hash functions, 2018). */
function mix(value: number): number {
  let x = value >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0
  return (x ^ (x >>> 16)) >>> 0
}
