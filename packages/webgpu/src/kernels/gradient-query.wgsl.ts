import { declarations, type Kernel } from '../kernel.ts'
import { gradientFunctions, gradientInterface, type GradientSpec } from '../snippets/gradient.wgsl.ts'
import { gradientTileFunctions, gradientTiles, storeGradient } from '../snippets/gradient-tiles.wgsl.ts'
import { tileOf, tileWalkParameters, walkTiles } from '../snippets/tile-walk.wgsl.ts'
import {
  inPhases,
  multiplyColumns,
  multiplyRows,
  planColumns,
  quotient,
  remainder,
  stageColumns,
  stageRows,
  storeWeights,
  type Tiling,
} from '../snippets/tiles.wgsl.ts'

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
    const { headDim, valueDim } = problem
    const { rowGroups, columns, depth } = tile
    const invocations = rowGroups * columns
    const [rows, keys] = [4 * rowGroups, 4 * columns]
    const { row, column, weight } = gradientTiles(tile)
    const plan = planColumns(column, Math.ceil(headDim / 4))
    const ownRow = (group: string, part: string): string => `rowOf(tile, min(${part} * ${rowGroups} + ${group}, tile.rowCount - 1))`
    const product = (dim: number, left: string, right: string, sum: string): string =>
      inPhases(
        dim,
        depth,
        (first, octets) => `workgroupBarrier();
    ${stageRows(row, octets, invocations, (group, part, chunk) => `${left}(tile, ${ownRow(group, part)}, ${first} + ${chunk})`)}
    ${stageRows(column, octets, invocations, (group, part, chunk) => `${right}(tile.batch, tile.keyHead, min(tileKey + 4 * ${group} + ${part}, tile.validKeys - 1), ${first} + ${chunk})`)}
    workgroupBarrier();
    ${multiplyRows(row.name, column.name, octets, sum)}`,
      )
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}
${gradientTileFunctions(tile, problem)}
${storeGradient('dQuery', headDim % 4 === 0)}
${tileOf(rows)}
fn queryOf(tile: Tile, row: Row, chunk: i32) -> vec4f { return queryAt(tile.batch, row.head, row.token, chunk); }
fn dOutputOf(tile: Tile, row: Row, chunk: i32) -> vec4f { return dOutputAt(tile.batch, row.head, row.token, chunk); }

@compute @workgroup_size(${invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = ${remainder('lane', columns)};
  let rowGroup = ${quotient('lane', columns)};
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);

  var dq = array<array<vec4f, 4>, ${plan.bands}>();
  ${walkTiles(
    keys,
    { blockMap, mask: problem.mask || problem.maskCode !== undefined },
    `
    let firstOwnKey = tileKey + column * 4;
    let hides = masked${problem.bias === undefined ? '' : ' || true'};
    var s = array<vec4f, 4>();
    var d = array<vec4f, 4>();
    ${product(headDim, 'queryOf', 'keyAt', 's')}
    ${product(valueDim, 'dOutputOf', 'valueAt', 'd')}
    for (var r = 0; r < 4; r++) {
      let own = ${ownRow('rowGroup', 'r')};
      let position = tile.shift + own.token;
      let first = firstKey(position, tile.validKeys);
      let end = endKey(position, tile.validKeys);
      let statistics = rowStatistics[(tile.batch * parameters.queryHeads + own.head) * parameters.queryLength + own.token];
      for (var j = 0; j < 4; j++) {
        let at = Pair(tile.batch, own.head, position, firstOwnKey + j, own.token);
        let seen = !hides || (at.key >= first && at.key < end && isSeen(at));
        d[r][j] = select(0.0, pairGradient(s[r][j], d[r][j], statistics, at).scaled, seen);
      }
      ${storeWeights(weight, 'd[r]')}
    }
    ${multiplyColumns(
      weight,
      column,
      plan,
      stageColumns(
        column,
        plan,
        invocations,
        (group, part, chunk) =>
          `finiteOnly(keyAt(tile.batch, tile.keyHead, min(tileKey + 4 * (phase * ${plan.groups} + ${group}) + ${part}, tile.validKeys - 1), ${chunk}), hides)`,
      ),
      'dq',
    )}
  `,
  )}

  for (var r = 0; r < 4; r++) {
    let row = rowGroup + r * ${rowGroups};
    if (row >= tile.rowCount) { continue; }
    let own = rowOf(tile, row);
    let start = ((tile.batch * parameters.queryHeads + own.head) * parameters.queryLength + own.token) * ${headDim};
    for (var band = 0; band < ${plan.bands}; band++) { store(start, band * ${columns} + column, ${headDim}, dq[band][r] * parameters.scale); }
  }
}
`
  },
}
