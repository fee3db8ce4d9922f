import type { BlockMap } from './map.ts'

/** Tiles over all batch entries and heads. */
export interface Sparsity {
  readonly full: number
  readonly partial: number
  readonly empty: number
  /** The share of tiles that are skipped, 0…1. */
  readonly sparsity: number
  /** How many times as fast as without a mask, where time goes with the tiles computed; Infinity where none is. */
  readonly speedup: number
}

/** What a block map saves. */
export function sparsity(map: BlockMap): Sparsity {
  const { planes, queryTiles, keyTiles, batch, heads } = map
  const counts = Array.from({ length: planes }, (_, plane) => countPlane(map, plane))
  let full = 0
  let partial = 0
  for (let entry = 0; entry < batch; entry++) {
    for (let head = 0; head < heads; head++) {
      const count = counts[map.planeOf(entry, head)]
      full += count?.full ?? 0
      partial += count?.partial ?? 0
    }
  }
  const tiles = batch * heads * queryTiles * keyTiles
  const computed = full + partial
  return {
    full,
    partial,
    empty: tiles - computed,
    sparsity: tiles === 0 ? 0 : 1 - computed / tiles,
    speedup: tiles === 0 ? 1 : tiles / computed,
  }
}

function countPlane({ runs, runOffsets, queryTiles }: BlockMap, plane: number): { full: number; partial: number } {
  let full = 0
  let partial = 0
  const end = 3 * (runOffsets[(plane + 1) * queryTiles] ?? 0)
  for (let run = 3 * (runOffsets[plane * queryTiles] ?? 0); run < end; run += 3) {
    const tiles = (runs[run + 1] ?? 0) - (runs[run] ?? 0)
    if (runs[run + 2] === 1) full += tiles
    else partial += tiles
  }
  return { full, partial }
}
