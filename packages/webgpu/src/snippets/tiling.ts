/** How tiles lie in workgroup memory: apart from the WGSL that uses them, since which tiles a problem gets is decided without it. */

/** How a workgroup of `rowGroups` · `columns` invocations divides a tile, of which each owns a patch of `patch` by `patch`. */
export interface Tiling {
  readonly rowGroups: 8 | 16
  readonly columns: 8 | 16
  /** Elements of a vector that are staged at a time. */
  readonly depth: 32 | 64
  readonly patch: 4 | 8
}

/**
 * A tile of vectors in workgroup memory, for invocations that each own a patch of rows by columns.
 *
 * It has `groups` groups of `parts` rows, and is an array of slots of 16 elements of a row (four chunks of four), each of
 * `parts` arrays: array `i` holds row `i` of every group. So what an invocation needs together, a chunk of the rows of a
 * group, is at one index of all arrays of all slots, and that index is computed, and checked by WGSL, once.
 */
export interface TileShape {
  readonly name: string
  readonly groups: 8 | 16
  readonly parts: 4 | 8
  readonly slots: number
}

export interface Tiles {
  readonly row: TileShape
  readonly column: TileShape
  /** A number for each pair, as patches of a row by four columns. */
  readonly weight: TileShape
}

/** The tiles of a workgroup: vectors of its rows and of its columns, and weights. */
export function tilesOf({ rowGroups, columns, depth, patch }: Tiling, row = 'rowTile', column = 'columnTile'): Tiles {
  return {
    row: { name: row, groups: rowGroups, parts: patch, slots: depth / 16 },
    column: { name: column, groups: columns, parts: patch, slots: depth / 16 },
    weight: { name: 'weightTile', groups: rowGroups, parts: patch, slots: columns / 4 },
  }
}

/** Whether a device has the memory for tiles, where two may be one, and the tile of columns room for four vectors of `width`. */
export function fit({ row, column, weight }: Tiles, workgroupBytes: number, width: number): boolean {
  const elements = ({ groups, parts, slots }: TileShape): number => 16 * groups * parts * slots
  const bytes = [...new Set([row, column, weight])].reduce((sum, shape) => sum + 4 * elements(shape), 0)
  return bytes <= workgroupBytes && 4 * width <= elements(column)
}

/**
 * Prefill's tiles of queries, keys and weights. With large patches weights take the place of queries, which are staged again for
 * each tile of keys: memory is scarcer than loads.
 */
export function prefillTiles(tile: Tiling, headDim: number): Tiles {
  const { row, column, weight } = tilesOf(tile, 'queryTile', 'keyTile')
  if (tile.patch === 4 && headDim <= tile.depth) return { row, column, weight }
  const both = { ...row, slots: Math.max(row.slots, weight.slots) }
  return { row: both, column, weight: both }
}
