import { describe } from '../errors.ts'
import type { MaskMod } from '../expression/node.ts'
import { checkCaptures } from '../expression/range/check-captures.ts'
import type { Alignment, AttentionProblem } from '../problem.ts'
import { refusal } from '../refusal.ts'
import type { Visibility } from '../visibility.ts'
import { printBlockMap } from './draw.ts'
import { findRuns } from './find-runs.ts'
import type { BlockMap, TileSize } from './map.ts'
import { planesOf } from './planes.ts'
import { boxClassifier } from './visibility-box.ts'

/** A map that prints as {@link printBlockMap} has it. */
export interface PrintableBlockMap extends BlockMap {
  toString(): string
}

export interface BlockMapShape {
  readonly queries: number
  readonly keys: number
  readonly tile: TileSize
  /** Default 1. */
  readonly batch?: number | undefined
  /** Of queries; default 1. */
  readonly heads?: number | undefined
  /** Where query rows stand among the keys; default `'lower-right'`. */
  readonly alignment?: Alignment | undefined
}

/**
 * What a mask leaves of each tile, found without looking at the pairs: interval and congruence analysis of the expression
 * decides whole boxes of tiles, and only what it cannot decide is halved, down to the partial tiles. What is called empty
 * or full is so. Captured tensors count as they are now.
 *
 *     console.log(String(blockMap(causal(), { queries: 1024, keys: 1024, tile: { queries: 64, keys: 64 } })))
 *
 * @throws QkvError `OPTION_INVALID` for sizes that are none, `EXPRESSION_REJECTED` where the mask reads a captured tensor
 * by an index that may lie outside.
 */
export function blockMap(mask: MaskMod, shape: BlockMapShape): PrintableBlockMap {
  const { queries, keys, tile, batch = 1, heads = 1, alignment = 'lower-right' } = shape
  checkSizes('blockMap', { queries, keys, batch, heads }, 0)
  const visibility: Visibility = {
    batch,
    queryHeads: heads,
    queryLength: queries,
    keyLength: keys,
    alignment,
    causal: false,
    window: { left: Infinity, right: Infinity },
    lengths: undefined,
    mask: undefined,
    maskMod: mask,
  }
  checkCaptures('blockMap', { ...visibility, scoreMod: undefined })
  const map = mapOf('blockMap', visibility, tile)
  return Object.freeze({ ...map, toString: () => printBlockMap(map) })
}

/**
 * What `causal`, `window`, lengths and masks leave of each tile of a problem's scores. A bias is not looked at, even where
 * it is −∞. Lengths and mask tensors in a backend's memory cannot be: what depends on them counts as partial.
 */
export function problemBlockMap(problem: AttentionProblem, tile: TileSize): BlockMap {
  return mapOf('problemBlockMap', problem, tile)
}

function mapOf(operation: string, visibility: Visibility, tile: TileSize): BlockMap {
  checkSizes(operation, { 'tile.queries': tile.queries, 'tile.keys': tile.keys }, 1)
  const { batch, queryHeads, queryLength, keyLength } = visibility
  const queryTiles = Math.ceil(queryLength / tile.queries)
  const keyTiles = Math.ceil(keyLength / tile.keys)
  const { planes, planeNumbers } = planesOf(visibility)
  const classifier = boxClassifier(visibility)
  const rows = planes.flatMap((plane) => {
    classifier.setPlane(plane)
    return findRuns(classifier, { queryLength, keyLength, queryTiles, keyTiles, tile })
  })
  const runOffsets = new Uint32Array(rows.length + 1)
  rows.forEach((row, index) => (runOffsets[index + 1] = (runOffsets[index] ?? 0) + row.length / 3))
  const runs = new Uint32Array(3 * (runOffsets.at(-1) ?? 0))
  rows.forEach((row, index) => runs.set(row, 3 * (runOffsets[index] ?? 0)))
  return Object.freeze<BlockMap>({
    tile: { queries: tile.queries, keys: tile.keys },
    queryTiles,
    keyTiles,
    batch,
    heads: queryHeads,
    planes: planes.length,
    planeOf: (entry, head) => planeNumbers[entry * queryHeads + head] ?? 0,
    runOffsets,
    runs,
  })
}

function checkSizes(operation: string, sizes: Readonly<Record<string, number>>, least: number): void {
  for (const [argument, size] of Object.entries(sizes)) {
    if (Number.isSafeInteger(size) && size >= least) continue
    throw refusal('OPTION_INVALID', operation, argument, `a whole number ≥ ${least}`, describe(size))
  }
}
