/** Which rows a workgroup's tile holds, and which tiles of keys they see. */
export const tileWalkParameters = {
  /** Tiles of rows in each plane. */
  tiles: 'i32',
  /** Query heads whose rows share a plane, token by token: 1, or all that share a key head. */
  packed: 'i32',
  /** Where in `context` the block map lies; see {@link walkTiles}. */
  planesAt: 'i32',
  runOffsetsAt: 'i32',
  runsAt: 'i32',
} as const

/**
 * `tileOf(group)`: the rows of a workgroup. `rowOf(tile, row)`: what row `row` of a tile is. The last tiles of a plane see
 * the most keys under causality, so they start first.
 *
 * Heads are packed only where they have fewer rows than a tile, so what is divided by `packed` is small, and multiplying
 * by its reciprocal is exact and a tenth of the work of dividing whole numbers.
 */
export function tileOf(rows: number): string {
  return `/* perRow: what an index among packed rows is multiplied by to be a token. */
struct Tile {
  index: i32,
  batch: i32,
  keyHead: i32,
  firstHead: i32,
  firstRow: i32,
  rowCount: i32,
  validKeys: i32,
  shift: i32,
  perRow: f32,
}
struct Row { token: i32, head: i32 }
fn tileOf(group: i32) -> Tile {
  let plane = group / parameters.tiles;
  let planes = parameters.queryHeads / parameters.packed;
  var tile: Tile;
  tile.index = parameters.tiles - 1 - group % parameters.tiles;
  tile.batch = plane / planes;
  tile.firstHead = plane % planes * parameters.packed;
  tile.keyHead = tile.firstHead / parameters.group;
  tile.firstRow = tile.index * ${rows};
  tile.rowCount = min(${rows}, parameters.queryLength * parameters.packed - tile.firstRow);
  tile.validKeys = validKeysOf(tile.batch);
  tile.shift = positionOf(0, tile.validKeys);
  tile.perRow = 1.0 / f32(parameters.packed);
  return tile;
}
fn rowOf(tile: Tile, row: i32) -> Row {
  let index = tile.firstRow + row;
  let token = select(index, i32((f32(index) + 0.5) * tile.perRow), parameters.packed > 1);
  return Row(token, tile.firstHead + index - token * parameters.packed);
}`
}

/**
 * A loop over the tiles of `keys` keys that some row of `tile` sees, from key `tileKey` on; `masked` says whether some
 * row does not see all of them. The tiles come from a block map (runs of tiles: first, end, and whether they are full),
 * or else from causality, window and length, and are then `masked` throughout where `mask` says so.
 */
export function walkTiles(keys: number, walk: { readonly blockMap: boolean; readonly mask: boolean }, body: string): string {
  if (walk.blockMap) {
    return `let plane = i32(context[parameters.planesAt + tile.batch * parameters.queryHeads + tile.firstHead]);
  let mapRow = plane * parameters.tiles + tile.index;
  let runEnd = i32(context[parameters.runOffsetsAt + mapRow + 1]);
  for (var run = i32(context[parameters.runOffsetsAt + mapRow]); run < runEnd; run++) {
    let partial = context[parameters.runsAt + 3 * run + 2] == 0u;
    let stopKey = i32(context[parameters.runsAt + 3 * run + 1]) * ${keys};
    for (var tileKey = i32(context[parameters.runsAt + 3 * run]) * ${keys}; tileKey < stopKey; tileKey += ${keys}) {
      let masked = partial || tileKey + ${keys} > tile.validKeys;
      ${body}
    }
  }`
  }
  return `let firstPosition = tile.shift + tile.firstRow / parameters.packed;
  let lastPosition = tile.shift + (tile.firstRow + tile.rowCount - 1) / parameters.packed;
  let stopKey = endKey(lastPosition, tile.validKeys);
  let fullStart = firstKey(lastPosition, tile.validKeys);
  let fullEnd = endKey(firstPosition, tile.validKeys);
  for (var tileKey = firstKey(firstPosition, tile.validKeys) / ${keys} * ${keys}; tileKey < stopKey; tileKey += ${keys}) {
    let masked = ${walk.mask ? 'true' : `tileKey < fullStart || tileKey + ${keys} > fullEnd`};
    ${body}
  }`
}
