/**
 * Vectors gathered into the tiles that `product.ts` reads. A tile is padded with zeros to whole blocks, so that odd head
 * dims and lengths need no other code: what zeros add is nothing, and nobody looks at padded rows.
 */
import { blockRows, panelColumns } from './product'
import { highHalves, interleaveHigh, interleaveLow, lowHalves, splat } from './vector'

/** Four vectors side by side, times a factor: target[i] = (a[i], b[i], c[i], d[i]), `row` bytes apart. */
export function packFour(a: usize, b: usize, c: usize, d: usize, n: i32, target: usize, row: usize, factor: f32 = 1): void {
  const x = splat(factor)
  let i = 0
  for (; i + 4 <= n; i += 4) {
    const offset = usize(i) << 2
    const va = f32x4.mul(x, v128.load(a + offset)), vb = f32x4.mul(x, v128.load(b + offset))
    const vc = f32x4.mul(x, v128.load(c + offset)), vd = f32x4.mul(x, v128.load(d + offset))
    const abLow = interleaveLow(va, vb), abHigh = interleaveHigh(va, vb)
    const cdLow = interleaveLow(vc, vd), cdHigh = interleaveHigh(vc, vd)
    v128.store(target, lowHalves(abLow, cdLow))
    v128.store(target + row, highHalves(abLow, cdLow))
    v128.store(target + 2 * row, lowHalves(abHigh, cdHigh))
    v128.store(target + 3 * row, highHalves(abHigh, cdHigh))
    target += 4 * row
  }
  for (; i < n; i++) {
    const offset = usize(i) << 2
    store<f32>(target, factor * load<f32>(a + offset))
    store<f32>(target, factor * load<f32>(b + offset), 4)
    store<f32>(target, factor * load<f32>(c + offset), 8)
    store<f32>(target, factor * load<f32>(d + offset), 12)
    target += row
  }
}

/**
 * One vector of `n` elements as row `j` of panels of eight columns, each `panelBytes` long; the last panel's missing
 * columns become 0. Returns the vector with every finite element as 0 in any lane: not 0 where something is not finite.
 */
export function packAcross(source: usize, n: i32, j: i32, target: usize, panelBytes: usize): v128 {
  let special = f32x4.splat(0)
  target += usize(j) << 5
  let i = 0
  for (; i + 8 <= n; i += 8) {
    const low = v128.load(source), high = v128.load(source, 16)
    v128.store(target, low)
    v128.store(target, high, 16)
    special = f32x4.add(special, f32x4.mul(f32x4.add(low, high), f32x4.splat(0)))
    source += 32
    target += panelBytes
  }
  if (i == n) return special
  v128.store(target, f32x4.splat(0))
  v128.store(target, f32x4.splat(0), 16)
  for (; i < n; i++) {
    const element = load<f32>(source)
    store<f32>(target, element)
    special = f32x4.add(special, f32x4.splat(element * 0))
    source += 4
    target += 4
  }
  return special
}

/** Sizes rounded up to whole blocks. */
// @ts-ignore: decorator
@inline
export function wholeBlocks(n: i32): i32 {
  return (n + blockRows - 1) & -blockRows
}

// @ts-ignore: decorator
@inline
export function wholePanels(n: i32): i32 {
  return (n + panelColumns - 1) & -panelColumns
}
