import type { AttentionProblem } from '@qkv/core'
import { problemBlockMap, type BlockMap } from '@qkv/core/block-map'
import { hostView } from '../memory/storage.ts'
import type { Workspace } from '../memory/workspace.ts'
import { placeVector } from './place.ts'
import { emptyTile, fullTile, mapRows, panelRows, partialTile, tileKeys } from './record.ts'

const tile = { queries: mapRows, keys: tileKeys } as const

/** Addresses of a problem's block map, a byte a tile, and of the planes of its heads. */
export interface PlacedTileMap {
  readonly map: number
  readonly planes: number
}

/** A map of what masks leave of each tile, where there are masks and tiles enough to be worth it. */
export function placeTileMap(space: Workspace, problem: AttentionProblem): PlacedTileMap | undefined {
  const { mask, maskMod, lengths, queryLength, keyLength, batch, queryHeads } = problem
  if ((mask === undefined && maskMod === undefined) || queryLength <= panelRows || keyLength <= tile.keys) return undefined
  const map = problemBlockMap({ ...problem, mask: mask && hostView(mask), lengths: lengths && hostView(lengths) }, tile)
  const heads = Int32Array.from({ length: batch * queryHeads }, (_, number) =>
    map.planeOf(Math.floor(number / queryHeads), number % queryHeads),
  )
  return { map: placeVector(space, tileBytes(map)), planes: placeVector(space, heads) }
}

function tileBytes({ planes, queryTiles, keyTiles, runOffsets, runs }: BlockMap): Uint8Array {
  const bytes = new Uint8Array(planes * queryTiles * keyTiles).fill(emptyTile)
  for (let line = 0; line < planes * queryTiles; line++) {
    for (let run = runOffsets[line]!; run < runOffsets[line + 1]!; run++) {
      const start = line * keyTiles
      bytes.fill(runs[3 * run + 2] === 1 ? fullTile : partialTile, start + runs[3 * run]!, start + runs[3 * run + 1]!)
    }
  }
  return bytes
}
