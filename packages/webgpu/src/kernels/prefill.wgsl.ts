import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { declareElements, declareStrides, writeVector, type Access } from '../snippets/elements.wgsl.ts'
import { base, isPlain, problemFunctions, problemInterface, type ProblemSpec } from '../snippets/problem.wgsl.ts'
import { rowReduction } from '../snippets/row-reduction.wgsl.ts'
import {
  addDot,
  chunkOrZeros,
  declareTile,
  declareWeights,
  finite,
  firstStaged,
  inPhases,
  multiplyColumns,
  multiplyRows,
  phasesOf,
  planColumns,
  quotient,
  remainder,
  stageColumns,
  stageRows,
  storeWeights,
  type TileShape,
  type Tiling,
} from '../snippets/tiles.wgsl.ts'
import { tileOf, tileWalkParameters, walkTiles } from '../snippets/tile-walk.wgsl.ts'

export interface PrefillSpec {
  readonly problem: ProblemSpec
  readonly output: Access<FloatDtype>
  /** Of queries by keys. */
  readonly tile: Tiling
  /** Whether `columns` neighbouring invocations always share a subgroup. */
  readonly subgroups: boolean
  /** Whether a block map says which tiles to visit; otherwise causality, window and length do. */
  readonly blockMap: boolean
}

/**
 * Attention over tiles of queries by keys, in workgroup memory and registers. Invocation (i, j) of a grid of `rowGroups`
 * by `columns` owns the scores of four rows and four keys, and of the same rows every `columns`-th chunk of the output:
 *
 *     for each tile of keys that some row sees:
 *       stage Q and K, `depth` elements at a time;  s += q · k        8 loads for 64 multiply-adds
 *       mask s, only where the tile is not wholly visible
 *       t = largest s of each row, over its invocations
 *       if t > m + 8: l, o scaled by 2^(m − t); m = t                 rarely: 2⁸ does not hurt float32
 *       p = 2^(s − m);  l += p;  p to workgroup memory
 *       stage V;  o += p · v                                          12 loads for 128 multiply-adds
 *     output = o / l;  lse = m · ln 2 + ln l
 *
 * Few queries are packed: the query heads that share a key head are rows of one tile, token by token, so that keys and
 * values are read once for the whole group.
 */
export const prefill: Kernel<PrefillSpec> = {
  name: 'prefill',

  interface({ problem, output, blockMap }) {
    const { parameters, buffers } = problemInterface(problem, blockMap)
    return {
      parameters: {
        ...parameters,
        ...tileWalkParameters,
        ...declareStrides('output'),
      },
      buffers: {
        ...buffers,
        output: declareElements(output, 'read_write'),
        lse: { type: 'array<u32>', access: 'read_write' },
      },
    }
  },

  code(spec) {
    const { problem, output, subgroups, blockMap } = spec
    const { rowGroups, columns, depth } = spec.tile
    const invocations = rowGroups * columns
    const [rows, keys] = [4 * rowGroups, 4 * columns]
    const queryTile: TileShape = { name: 'queryTile', groups: rowGroups, slots: depth / 32 }
    const keyTile: TileShape = { name: 'keyTile', groups: columns, slots: depth / 32 }
    const weightTile: TileShape = { name: 'weightTile', groups: rowGroups, slots: columns / 8 }
    const phases = phasesOf(problem.headDim, depth)
    const onlyPhase = phases.length === 1 ? phases[0] : undefined // queries then stay where they are
    const valueChunks = Math.max(1, Math.ceil(problem.valueDim / 4))
    const values = planColumns(keyTile, valueChunks)
    const plain = isPlain(problem)
    const stageQuery = (first: string, octets: number): string =>
      stageRows(queryTile, octets, invocations, (_group, _part, chunk) => `queryAt(stagedQuery[i], ${first} + ${chunk})`)
    const eachRow = (code: string): string => `for (var r = 0; r < 4; r++) { ${code} }`

    return `${subgroups ? 'enable subgroups;' : ''}
${declarations(this.interface(spec))}
${problemFunctions(problem)}
${writeVector('output', output, problem.valueDim)}
${base('output')}
${[queryTile, keyTile].map(declareTile).join('\n')}
${declareWeights(weightTile)}
${rowReduction(weightTile, columns, subgroups)}
${tileOf(rows)}

fn queryAt(row: i32, chunk: i32) -> vec4f { return ${chunkOrZeros('query', 'row', problem.headDim)} * (parameters.scale${plain ? ' * log2e' : ''}); }
fn keyAt(row: KeyRow, chunk: i32) -> vec4f { return ${chunkOrZeros('key', 'row', problem.headDim)}; }
fn valueAt(row: ValueRow, chunk: i32, hides: bool) -> vec4f {
  let x = ${chunkOrZeros('value', 'row', problem.valueDim)};
  if (!hides) { return x; }
  return ${finite('x')};
}
${addDot}

@compute @workgroup_size(${invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = ${remainder('lane', columns)};
  let rowGroup = ${quotient('lane', columns)};
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);

  /* The rows that this invocation stages, of queries and of the first tile of keys. Past the last key it reads what is masked. */
  var stagedQuery: array<i32, ${(4 * 8 * rowGroups) / invocations}>;
  for (var i = 0; i < ${(4 * 8 * rowGroups) / invocations}; i++) {
    let part = i * ${invocations / (8 * rowGroups)} + ${firstStaged(queryTile, invocations).part};
    let own = rowOf(tile, min(part * ${rowGroups} + ${firstStaged(queryTile, invocations).group}, tile.rowCount - 1));
    stagedQuery[i] = queryBase(tile.batch, own.head, own.token);
  }
  let stagedKey = keyBase(tile.batch, tile.keyHead, 4 * ${firstStaged(keyTile, invocations).group} + ${firstStaged(keyTile, invocations).part});
  let stagedValue = valueBase(tile.batch, tile.keyHead, 4 * ${remainder(quotient('lane', columns), values.groups)} + ${firstStaged(keyTile, invocations).part});

  var m = vec4f(lowest);
  var l = vec4f();
  var o: array<array<vec4f, 4>, ${values.bands}>;
  ${onlyPhase ? stageQuery('0', onlyPhase.octets) : ''}
  ${walkTiles(
    keys,
    { blockMap, mask: problem.mask || problem.maskCode !== undefined },
    `
    let firstOwnKey = tileKey + column * 4;
    let hides = ${problem.bias || problem.scoreCode ? 'true' : 'masked'};
    var s = array<vec4f, 4>();
    ${inPhases(
      problem.headDim,
      depth,
      (first, octets) => `workgroupBarrier();
    ${onlyPhase ? '' : stageQuery(first, octets)}
    ${stageRows(keyTile, octets, invocations, (_group, _part, chunk, step) => `keyAt(stagedKey + (tileKey + ${step}) * keyStep(), ${first} + ${chunk})`)}
    workgroupBarrier();
    ${multiplyRows('queryTile', 'keyTile', octets, 's')}`,
    )}
    ${plain ? 'if (masked) {' : '{'}
      ${eachRow(`
        let own = rowOf(tile, min(rowGroup + r * ${rowGroups}, tile.rowCount - 1));
        let position = tile.shift + own.token;
        let first = firstKey(position, tile.validKeys);
        let end = endKey(position, tile.validKeys);
        for (var j = 0; j < 4; j++) {
          let at = Pair(tile.batch, own.head, position, firstOwnKey + j, own.token);
          let visible = ${plain ? '' : '!masked || '}(at.key >= first && at.key < end && isVisible(at));
          ${plain ? '' : 's[r][j] = finalScore(s[r][j], at) * log2e;'}
          s[r][j] = select(lowest, s[r][j], visible);
        }
      `)}
    }

    let t = rowMaximum(vec4f(${[0, 1, 2, 3].map((r) => `max(max(s[${r}].x, s[${r}].y), max(s[${r}].z, s[${r}].w))`).join(', ')}), lane);
    if (any(t > m + 8.0)) {
      let rescale = exp2(m - max(m, t));
      m = max(m, t);
      l *= rescale;
      for (var band = 0; band < ${values.bands}; band++) { ${eachRow('o[band][r] *= rescale[r];')} }
    }
    ${eachRow(`
      let p = exp2(s[r] - select(m[r], 0.0, m[r] == lowest));
      l[r] += (p.x + p.y) + (p.z + p.w);
      ${storeWeights(weightTile, problem.dropout ? 'keptWeights(tile, rowGroup, r, firstOwnKey, p)' : 'p')}
    `)}

    ${multiplyColumns(
      weightTile,
      keyTile,
      values,
      stageColumns(
        keyTile,
        values,
        invocations,
        (_group, _part, chunk, step) =>
          `valueAt(stagedValue + (tileKey + phase * ${4 * values.groups} + ${step}) * valueStep(), ${chunk}, hides)`,
      ),
      'o',
    )}
  `,
  )}

  let sums = rowSum(l, lane);
  for (var r = 0; r < 4; r++) {
    let row = rowGroup + r * ${rowGroups};
    if (row >= tile.rowCount) { continue; }
    let own = rowOf(tile, row);
    var reference = m[r];
    var total = sums[r];
    var factor = 1.0;
    ${
      problem.sinks
        ? `let sink = sinkOf(own.head);
    reference = max(reference, sink);
    factor = exp2(m[r] - reference);
    total = total * factor + select(0.0, exp2(sink - reference), sink > lowest);`
        : ''
    }
    let empty = total == 0.0;
    total = select(total, 1.0, empty);
    let outputRow = outputBase(tile.batch, own.head, own.token);
    for (var band = 0; band < ${values.bands}; band++) {
      let chunk = band * ${columns} + column;
      ${values.bands * columns === valueChunks ? '' : `if (chunk < ${valueChunks}) `}{ outputStore(outputRow, chunk, o[band][r] * (factor / total)); }
    }
    if (column == 0) {
      lse[(tile.batch * parameters.queryHeads + own.head) * parameters.queryLength + own.token] = select(bitcast<u32>(fma(reference, ln2, log(total))), 0xff800000u, empty);
    }
  }
}
${problem.dropout ? keptWeights(rowGroups) : ''}
`
  },
}

function keptWeights(rowGroups: number): string {
  return `fn keptWeights(tile: Tile, rowGroup: i32, r: i32, firstKey: i32, p: vec4f) -> vec4f {
  let own = rowOf(tile, min(rowGroup + r * ${rowGroups}, tile.rowCount - 1));
  var weights = p;
  for (var j = 0; j < 4; j++) { weights[j] *= kept(Pair(tile.batch, own.head, tile.shift + own.token, firstKey + j, own.token)); }
  return weights;
}`
}
