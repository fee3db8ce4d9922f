import { declarations, type Kernel } from '../kernel.ts'
import { gradientFunctions, gradientInterface, type GradientSpec } from '../snippets/gradient.wgsl.ts'
import { gradientTileFunctions, gradientTiles, storeGradient, type GradientTiles } from '../snippets/gradient-tiles.wgsl.ts'
import type { Tiling } from '../snippets/tiling.ts'

export interface GradientKeyValueSpec extends GradientSpec {
  readonly tile: Tiling
}

/**
 * dK and dV over tiles whose rows are keys and whose columns are queries, of every head that shares the key head in
 * turn. So the sum over a group is made in registers, in a fixed order, without atomics:
 *
 *     for each tile of queries that see some key:
 *       stage K and Q;   s = scale · q·k
 *       stage V and dO;  dP = dO · v
 *       p and ds of each pair, from s, dP, and the query's lse and δ;  p to workgroup memory
 *       stage dO;        dv += p · dO
 *       ds to workgroup memory
 *       stage Q;         dk += ds · scale · q
 */
export const gradientKeyValue: Kernel<GradientKeyValueSpec> = {
  name: 'gradient-key-value',

  interface(spec) {
    const { parameters, buffers } = gradientInterface(spec)
    return {
      parameters: { ...parameters, tiles: 'i32', dKeyOffset: 'i32', dValueOffset: 'i32' },
      buffers: { ...buffers, gradients: { type: hasVectors(spec) ? 'array<vec4f>' : 'array<f32>', access: 'read_write' } },
    }
  },

  code(spec) {
    const { problem, tile } = spec
    const { headDim, valueDim } = problem
    const row = (group: string, part: string): string => `min(firstOwn + ${part} * ${tile.rowGroups} + ${group}, validKeys - 1)`
    const tiles = gradientTiles(
      tile,
      (read, group, part, chunk) => `${read}(batch, keyHead, ${row(group, part)}, ${chunk})`,
      (read, group, part, chunk) => `${read}(batch, head, ${token(group, part)}, ${chunk})`,
    )
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}
${gradientTileFunctions(tile, problem)}
${storeGradient('gradients', hasVectors(spec))}

@compute @workgroup_size(${tiles.invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  ${tiles.places}
  ${findQueries(tiles)}

  var dk = array<array<vec4f, 4>, ${tiles.bands(headDim)}>();
  var dv = array<array<vec4f, 4>, ${tiles.bands(valueDim)}>();
  for (var member = 0; member < parameters.group; member++) {
  let head = keyHead * parameters.group + member;
  for (var tileRow = firstRow; tileRow < endRow; tileRow += ${tiles.columns}) {
    var s = array<vec4f, 4>();
    var d = array<vec4f, 4>();
    ${tiles.scores(headDim, 'keyAt', 'queryAt', 's')}
    ${tiles.scores(valueDim, 'valueAt', 'dOutputAt', 'd')}
    ${pairGradients(spec, tiles)}
    ${tiles.weigh(valueDim, 'dOutputAt', 'dv')}
    workgroupBarrier();
    for (var r = 0; r < 4; r++) { ${tiles.store('d[r]')} }
    ${tiles.weigh(headDim, 'queryAt', 'dk')}
  }
  }
  ${writeKeys(spec, tiles)}
}
`
  },
}

/** Which query is number `part` of a group of the tile; the last of all for those past it. */
function token(group: string, part: string): string {
  return `min(tileRow + 4 * ${group} + ${part}, parameters.queryLength - 1)`
}

/** The keys of this workgroup, from `firstOwn` on, and the queries whose positions see some of them. */
function findQueries({ rows: keys }: GradientTiles): string {
  return `let plane = (i32(groupId.x) + parameters.firstGroup) / parameters.tiles;
  let firstOwn = (i32(groupId.x) + parameters.firstGroup) % parameters.tiles * ${keys};
  let batch = plane / parameters.keyHeads;
  let keyHead = plane % parameters.keyHeads;
  let validKeys = validKeysOf(batch);
  let shift = positionOf(0, validKeys);
  let firstRow = clamp(firstOwn - parameters.right - shift, 0, parameters.queryLength);
  let endRow = select(0, clamp(firstOwn + ${keys} + parameters.left - shift, 0, parameters.queryLength), firstOwn < validKeys);`
}

/** From s and dP to p, which is stored to weigh dO by, and ds. */
function pairGradients({ problem, tile }: GradientKeyValueSpec, { rows: keys, columns: queries, store }: GradientTiles): string {
  const hasMask = problem.mask || problem.maskCode !== undefined || problem.bias !== undefined
  return `let full = tileRow + ${queries} <= parameters.queryLength && firstOwn + ${keys} <= validKeys
      && firstKey(shift + tileRow + ${queries - 1}, validKeys) <= firstOwn
      && endKey(shift + tileRow, validKeys) >= firstOwn + ${keys};
    let masked = ${hasMask ? 'true' : '!full'};
    var statistics: array<vec2f, 4>;
    for (var j = 0; j < 4; j++) {
      statistics[j] = rowStatistics[rowIndex(batch, head, ${token('column', 'j')})];
    }
    for (var r = 0; r < 4; r++) {
      let key = firstOwn + rowGroup + r * ${tile.rowGroups};
      for (var j = 0; j < 4; j++) {
        let row = tileRow + 4 * column + j;
        let at = Pair(batch, head, shift + row, key, row);
        let near = key >= firstKey(at.query, validKeys) && key < endKey(at.query, validKeys);
        let seen = !masked || (row < parameters.queryLength && near && isSeen(at));
        let g = pairGradient(s[r][j], d[r][j], statistics[j], at);
        s[r][j] = select(0.0, g.weight, seen);
        d[r][j] = select(0.0, g.scaled, seen);
      }
      ${store('s[r]')}
    }`
}

function writeKeys({ problem: { headDim, valueDim }, tile }: GradientKeyValueSpec, { bands }: GradientTiles): string {
  const writeBands = (dim: number, offset: string, sum: string): string =>
    `for (var band = 0; band < ${bands(dim)}; band++) {
      store(parameters.${offset} + index * ${dim}, band * ${tile.columns} + column, ${dim}, ${sum}[band][r]);
    }`
  return `for (var r = 0; r < 4; r++) {
    let key = firstOwn + rowGroup + r * ${tile.rowGroups};
    if (key >= parameters.keyLength) { continue; }
    let index = plane * parameters.keyLength + key;
    ${writeBands(headDim, 'dKeyOffset', 'dk')}
    ${writeBands(valueDim, 'dValueOffset', 'dv')}
  }`
}

function hasVectors({ problem: { headDim, valueDim } }: GradientKeyValueSpec): boolean {
  return headDim % 4 === 0 && valueDim % 4 === 0
}
