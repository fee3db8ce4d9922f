import type { MaskMod } from './expression/node.ts'
import type { Alignment, AttentionProblem } from './problem.ts'
import { isHostTensor } from './tensor.ts'
import { firstPosition, visibleKeys } from './visibility.ts'

/** Query rows and keys of one tile of the score matrix. */
export interface TileSize {
  readonly queries: number
  readonly keys: number
}

/**
 * Which tiles of the score matrix hold nothing, only visible pairs, or some of both, as compressed rows of runs: per
 * plane and query tile, ascending disjoint runs of key tiles; key tiles in no run are empty.
 */
export interface BlockMap {
  readonly tile: TileSize
  readonly queryTiles: number
  readonly keyTiles: number
  /** (batch, head) pairs that see the same keys share a plane. */
  readonly planes: number
  planeOf(batch: number, head: number): number
  /** [planes · queryTiles + 1]: runs of query tile `t` of plane `p` are `runOffsets[p·queryTiles + t]` up to the next. */
  readonly runOffsets: Uint32Array
  /** Three numbers a run: first key tile, end key tile, and 1 where all its tiles are full, 0 where they are partial. */
  readonly runs: Uint32Array
}

export interface BlockMapShape {
  readonly queries: number
  readonly keys: number
  readonly tile: TileSize
  /** Default 1. */
  readonly batch?: number | undefined
  /** Default 1. */
  readonly heads?: number | undefined
  /** Where query rows stand among the keys; default `'lower-right'`. */
  readonly alignment?: Alignment | undefined
}

/** What a mask leaves of each tile. */
export function blockMap(mask: MaskMod, { queries, keys, tile, batch = 1, heads = 1, alignment = 'lower-right' }: BlockMapShape): BlockMap {
  return mapOf({ queryLength: queries, keyLength: keys, batch, queryHeads: heads, alignment, causal: false, window: { left: Infinity, right: Infinity }, maskMod: mask, mask: undefined, lengths: undefined }, tile)
}

/** What `causal`, `window`, lengths and masks leave of each tile of a problem's scores. */
export function problemBlockMap(problem: AttentionProblem, tile: TileSize): BlockMap {
  return mapOf(problem, tile)
}

type Visibility = Pick<AttentionProblem, 'queryLength' | 'keyLength' | 'batch' | 'queryHeads' | 'alignment' | 'causal' | 'window' | 'mask' | 'maskMod' | 'lengths'>

function mapOf(problem: Visibility, tile: TileSize): BlockMap {
  const { batch, queryLength, keyLength, lengths } = problem
  const queryTiles = Math.ceil(queryLength / tile.queries)
  const keyTiles = Math.ceil(keyLength / tile.keys)
  const masked = problem.mask !== undefined || problem.maskMod !== undefined
  const planes = lengths ? batch : 1
  const runOffsets = new Uint32Array(planes * queryTiles + 1)
  const runs: number[] = []
  for (let plane = 0; plane < planes; plane++) {
    const known = lengths === undefined || isHostTensor(lengths)
    const validKeys = lengths && isHostTensor(lengths) ? Number(lengths.storage[lengths.offset + plane * (lengths.strides[0] ?? 0)]) : keyLength
    for (let t = 0; t < queryTiles; t++) {
      const position = firstPosition(problem, validKeys) + t * tile.queries
      const last = position + Math.min(tile.queries, queryLength - t * tile.queries) - 1
      const first = visibleKeys(problem, position, validKeys)
      const end = visibleKeys(problem, last, validKeys)
      const from = known ? Math.floor(first.first / tile.keys) : 0
      const to = known ? Math.ceil(end.end / tile.keys) : keyTiles
      const fullFrom = Math.ceil(end.first / tile.keys)
      const fullTo = first.end === keyLength ? keyTiles : Math.floor(first.end / tile.keys)
      if (masked || !known || fullFrom >= fullTo) push(runs, from, to, 0)
      else {
        push(runs, from, fullFrom, 0)
        push(runs, fullFrom, fullTo, 1)
        push(runs, fullTo, to, 0)
      }
      runOffsets[plane * queryTiles + t + 1] = runs.length / 3
    }
  }
  return { tile, queryTiles, keyTiles, planes, planeOf: lengths ? (b) => b : () => 0, runOffsets, runs: Uint32Array.from(runs) }
}

function push(runs: number[], first: number, end: number, full: number): void {
  if (first < end) runs.push(first, end, full)
}
