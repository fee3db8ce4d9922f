import { declarations, type Kernel } from '../kernel.ts'
import { gradientFunctions, gradientInterface, type GradientSpec } from '../snippets/gradient.wgsl.ts'
import { gradientTileFunctions, gradientTiles, storeGradient } from '../snippets/gradient-tiles.wgsl.ts'
import { tileOf, tileWalkParameters, walkTiles } from '../snippets/tile-walk.wgsl.ts'
import type { Tiling } from '../snippets/tiling.ts'

export interface GradientQuerySpec extends GradientSpec {
  readonly tile: Tiling
  readonly blockMap: boolean
}

/**
 * dQ over tiles of rows by keys, as `prefill` walks them:
 *
 *     for each tile of keys that some row sees:
 *       stage Q and K;   s = scale · q·k
 *       stage dO and V;  dP = dO · v
 *       ds = p (dP − δ), with p from s and the row's lse, and back to scale · q·k;  ds to workgroup memory
 *       stage K;         dq += ds · k
 *     dQ = scale · dq
 */
export const gradientQuery: Kernel<GradientQuerySpec> = {
  name: 'gradient-query',

  interface(spec) {
    const { parameters, buffers } = gradientInterface(spec, spec.blockMap)
    const vectors = spec.problem.headDim % 4 === 0
    return {
      parameters: { ...parameters, ...tileWalkParameters },
      buffers: { ...buffers, dQuery: { type: vectors ? 'array<vec4f>' : 'array<f32>', access: 'read_write' } },
    }
  },

  code(spec) {
    const { problem, tile, blockMap } = spec
    const { headDim } = problem
    const ownRow = (group: string, part: string): string =>
      `rowOf(tile, min(${part} * ${tile.rowGroups} + ${group}, tile.rowCount - 1))`
    const ownKey = (group: string, part: string): string => `min(tileKey + 4 * ${group} + ${part}, tile.validKeys - 1)`
    const tiles = gradientTiles(
      tile,
      (read, group, part, chunk) => `${read}(tile, ${ownRow(group, part)}, ${chunk})`,
      (read, group, part, chunk) => `${read}(tile.batch, tile.keyHead, ${ownKey(group, part)}, ${chunk})`,
    )
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}
${gradientTileFunctions(tile, problem)}
${storeGradient('dQuery', headDim % 4 === 0)}
${tileOf(tiles.rows)}
fn queryOf(tile: Tile, row: Row, chunk: i32) -> vec4f { return queryAt(tile.batch, row.head, row.token, chunk); }
fn dOutputOf(tile: Tile, row: Row, chunk: i32) -> vec4f { return dOutputAt(tile.batch, row.head, row.token, chunk); }

@compute @workgroup_size(${tiles.invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  ${tiles.places}
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);

  var dq = array<array<vec4f, 4>, ${tiles.bands(headDim)}>();
  ${walkTiles(
    tiles.columns,
    { blockMap, mask: problem.mask || problem.maskCode !== undefined },
    `
    let firstOwnKey = tileKey + column * 4;
    let hides = masked${problem.bias === undefined ? '' : ' || true'};
    var s = array<vec4f, 4>();
    var d = array<vec4f, 4>();
    ${tiles.scores(headDim, 'queryOf', 'keyAt', 's')}
    ${tiles.scores(problem.valueDim, 'dOutputOf', 'valueAt', 'd')}
    for (var r = 0; r < 4; r++) {
      let own = ${ownRow('rowGroup', 'r')};
      let position = tile.shift + own.token;
      let first = firstKey(position, tile.validKeys);
      let end = endKey(position, tile.validKeys);
      let statistics = rowStatistics[rowIndex(tile.batch, own.head, own.token)];
      for (var j = 0; j < 4; j++) {
        let at = Pair(tile.batch, own.head, position, firstOwnKey + j, own.token);
        let seen = !hides || (at.key >= first && at.key < end && isSeen(at));
        d[r][j] = select(0.0, pairGradient(s[r][j], d[r][j], statistics, at).scaled, seen);
      }
      ${tiles.store('d[r]')}
    }
    ${tiles.weigh(headDim, 'keyAt', 'dq', 'hides')}
  `,
  )}

  for (var r = 0; r < 4; r++) {
    let row = rowGroup + r * ${tile.rowGroups};
    if (row >= tile.rowCount) { continue; }
    let own = rowOf(tile, row);
    let start = rowIndex(tile.batch, own.head, own.token) * ${headDim};
    for (var band = 0; band < ${tiles.bands(headDim)}; band++) {
      store(start, band * ${tile.columns} + column, ${headDim}, dq[band][r] * parameters.scale);
    }
  }
}
`
  },
}
