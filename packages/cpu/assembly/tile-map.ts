/**
 * What the problem's block map says of tiles of 64 rows and 64 keys: nothing to see, everything, or that masks must be
 * asked pair by pair. The map is a byte a tile, [planes][query tiles][key tiles], with the plane of each batch entry's
 * head beside it. Without a map, tiles are partial where there is any mask.
 */
import * as record from '../src/wasm/record'
import { int, pointer } from './problem'
import * as rows from './rows'

export const empty: i32 = record.emptyTile
export const full: i32 = record.fullTile
export const partial: i32 = record.partialTile

/** Of the keys `at` to `at + 64` and a panel's rows, which may lie in several heads and two query tiles. */
export function tileClass(problem: usize, panel: usize, at: i32): i32 {
  const map = pointer(problem, record.tileMap)
  if (map == 0) return int(problem, record.mask) == 0 && int(problem, record.maskProgram) == 0 ? full : partial
  const keyTiles = (int(problem, record.keyLength) + 63) >> 6, queryTiles = (int(problem, record.queryLength) + 63) >> 6
  const planes = pointer(problem, record.planes)
  const heads = int(problem, record.queryHeads)
  let known = -1
  for (let lane = 0; lane < rows.panelRows; lane++) {
    const row = panel + (lane << 2)
    const plane = load<i32>(planes + (usize(load<i32>(row, rows.batches) * heads + load<i32>(row, rows.heads)) << 2))
    const line = plane * queryTiles + (load<i32>(row, rows.indices) >> 6)
    const own: i32 = load<u8>(map + line * keyTiles + (at >> 6))
    if (own == partial || (known >= 0 && known != own)) return partial
    known = own
  }
  return known
}

/** Whether any of the panels sees any of the keys `at` to `end`. */
export function anySees(problem: usize, panels: usize, count: i32, at: i32, end: i32): bool {
  for (let i = 0; i < count; i++, panels += rows.panelBytes) {
    if (!rows.seesNone(panels, at, end) && tileClass(problem, panels, at) != empty) return true
  }
  return false
}
