/** Query rows and keys of one tile of the score matrix. */
export interface TileSize {
  readonly queries: number
  readonly keys: number
}

/**
 * Which tiles of the score matrix hold nothing, only visible pairs, or some of both, as compressed rows of runs: per
 * plane and query tile, ascending disjoint runs of key tiles; key tiles in no run are empty. Plain data, of use for every
 * call whose sizes and masks are the same.
 */
export interface BlockMap {
  readonly tile: TileSize
  readonly queryTiles: number
  readonly keyTiles: number
  readonly batch: number
  readonly heads: number
  /** (batch, head) pairs that see the same keys share a plane. */
  readonly planes: number
  planeOf(batch: number, head: number): number
  /** [planes · queryTiles + 1]: runs of query tile `t` of plane `p` are `runOffsets[p·queryTiles + t]` up to the next. */
  readonly runOffsets: Uint32Array
  /** Three numbers a run: first key tile, end key tile, and 1 where all its tiles are full, 0 where they are partial. */
  readonly runs: Uint32Array
}
