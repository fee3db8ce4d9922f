import { declarations, type Kernel } from '../kernel.ts'
import { attentionFunctions, attentionInterface, endRow, type AttentionSpec } from '../snippets/attention.wgsl.ts'
import { finite } from '../snippets/elements.wgsl.ts'
import { isPlain, type ProblemSpec } from '../snippets/problem.wgsl.ts'
import { rowReduction } from '../snippets/row-reduction.wgsl.ts'
import { firstOfColumns, multiplyColumns, planColumns, storeWeights, type ColumnPlan } from '../snippets/tile-columns.wgsl.ts'
import { addDot, plus, quotient, remainder, times } from '../snippets/arithmetic.wgsl.ts'
import { chunkOrZeros, declareTile, firstStaged, inPhases, multiplyRows, patchOf, stageRows } from '../snippets/tiles.wgsl.ts'
import { prefillTiles, type Tiles, type Tiling } from '../snippets/tiling.ts'
import { tileOf, tileWalkParameters, walkTiles } from '../snippets/tile-walk.wgsl.ts'

export interface PrefillSpec extends AttentionSpec {
  readonly tile: Tiling
  /** Whether `columns` neighbouring invocations always share a subgroup. */
  readonly subgroups: boolean
  /** Whether a block map says which tiles to visit; otherwise causality, window and length do. */
  readonly blockMap: boolean
}

/**
 * Attention over tiles of queries by keys, in workgroup memory and registers. Invocation (i, j) of a grid of `rowGroups`
 * by `columns` owns the scores of a patch, eight rows by eight keys, and of the same rows every `columns`-th chunk of the output:
 *
 *     for each tile of keys that some row sees:
 *       stage Q and K, `depth` elements at a time;  s += q · k        16 loads for 256 multiply-adds
 *       mask s, only where the tile is not wholly visible
 *       t = largest s of each row, over its invocations
 *       if t > m + 8: l, o scaled by 2^(m − t); m = t                 rarely: 2⁸ does not hurt float32
 *       p = 2^(s − m);  l += p
 *       for each four keys of the patches:
 *         p to workgroup memory;  stage V;  o += p · v                16 loads for 256 multiply-adds, or fewer
 *     output = o / l;  lse = m · ln 2 + ln l
 *
 * Patches of four by four need half the registers and load twice as much. Few queries are packed: the query heads that share
 * a key head are rows of one tile, token by token, so that keys and values are read once for the whole group.
 */
export const prefill: Kernel<PrefillSpec> = {
  name: 'prefill',

  interface: (spec) => attentionInterface(spec, tileWalkParameters, spec.blockMap),

  code(spec) {
    const { problem, subgroups, blockMap } = spec
    const { rowGroups, columns, patch } = spec.tile
    const layout = layoutOf(spec)
    const { row: query, column: key, weight, invocations, values } = layout
    return `${subgroups ? 'enable subgroups;' : ''}
${declarations(this.interface(spec))}
${attentionFunctions(spec)}
${[...new Set([query, key, weight])].map(declareTile).join('\n')}
${rowReduction(weight, columns, subgroups)}
${tileOf(patch * rowGroups)}
${readTiles(problem)}
${addDot}
${finite}
fn largest(x: vec4f) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }
${problem.dropout ? keptWeights(spec.tile) : ''}

@compute @workgroup_size(${invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  ${patchOf(columns)}
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);
  ${findStaged(spec, layout)}

  var m: Rows;
  var l: Rows;
  var o: array<array<vec4f, ${patch}>, ${values.bands}>;
  ${eachRow(patch, 'm[r] = unseen;')}
  ${layout.queriesStay ? stageQueries(layout, '0', query.slots) : ''}
  ${walkTiles(
    patch * columns,
    { blockMap, mask: problem.mask || problem.maskCode !== undefined },
    `
    let firstOwnKey = tileKey + column * 4;
    ${scores(spec, layout)}
    ${finalScores(spec)}
    ${softmax(spec, layout)}
    ${weighValues(spec, layout)}
  `,
  )}
  ${writeRows(spec, layout)}
}
`
  },
}

interface Layout extends Tiles {
  readonly invocations: number
  readonly queriesStay: boolean
  readonly values: ColumnPlan
  readonly valueChunks: number
}

function layoutOf({ tile, problem }: PrefillSpec): Layout {
  const tiles = prefillTiles(tile, problem.headDim)
  const valueChunks = Math.max(1, Math.ceil(problem.valueDim / 4))
  return {
    ...tiles,
    invocations: tile.rowGroups * tile.columns,
    queriesStay: tiles.row !== tiles.weight,
    values: planColumns(tiles.column, valueChunks),
    valueChunks,
  }
}

const eachRow = (patch: number, code: string): string => `for (var r = 0; r < ${patch}; r++) { ${code} }`

/** `queryAt`, scaled, in powers of two where nothing else happens to a score; `keyAt`; `valueAt`. */
function readTiles(problem: ProblemSpec): string {
  const scale = `parameters.scale${isPlain(problem) ? ' * log2e' : ''}`
  return `fn queryAt(row: i32, chunk: i32) -> vec4f { return ${chunkOrZeros('query', 'row', problem.headDim)} * (${scale}); }
fn keyAt(row: KeyRow, chunk: i32) -> vec4f { return ${chunkOrZeros('key', 'row', problem.headDim)}; }
fn valueAt(row: ValueRow, chunk: i32) -> vec4f { return ${chunkOrZeros('value', 'row', problem.valueDim)}; }
/* Of a row that has seen no key: more than the lowest score by so much that 2^(lowest − unseen) is 0. */
const unseen = -1.69e38;`
}

/** The rows that an invocation stages, of queries and of the first tile of keys. Past the last key it reads what is masked. */
function findStaged({ tile: { rowGroups, patch } }: PrefillSpec, { row: query, column: key, values, invocations }: Layout): string {
  const together = invocations / (4 * rowGroups)
  const [ownQuery, ownKey, ownValue] = [
    firstStaged(query, invocations),
    firstStaged(key, invocations),
    firstOfColumns(key, values, invocations),
  ]
  return `var stagedQuery: array<i32, ${patch / together}>;
  for (var i = 0; i < ${patch / together}; i++) {
    let part = i * ${together} + ${ownQuery.part};
    let own = rowOf(tile, min(part * ${rowGroups} + ${ownQuery.group}, tile.rowCount - 1));
    stagedQuery[i] = queryBase(tile.batch, own.head, own.token);
  }
  let stagedKey = keyBase(tile.batch, tile.keyHead, 4 * ${ownKey.group} + ${ownKey.part});
  let stagedValue = valueBase(tile.batch, tile.keyHead, 4 * ${ownValue.group} + ${ownValue.part});`
}

function stageQueries({ row, invocations }: Layout, first: string, slots: number): string {
  return stageRows(row, slots, invocations, ({ chunk }) => `queryAt(stagedQuery[i], ${first} + ${chunk})`)
}

/** Parts 4 … 7 of a group of keys are four keys of the tile's second half. */
function scores({ problem, tile: { columns, depth, patch } }: PrefillSpec, layout: Layout): string {
  const { row: query, column: key, invocations, queriesStay } = layout
  const after = (step: string): string => (patch === 4 ? step : `${times(quotient(step, 4), 4 * columns)} + ${remainder(step, 4)}`)
  const keyAt = (step: string, chunk: string): string => `keyAt(stagedKey + (tileKey + ${after(step)}) * keyStep(), ${chunk})`
  return `var s = array<array<vec4f, ${patch / 4}>, ${patch}>();
    ${inPhases(
      problem.headDim,
      depth,
      (first, slots) => `workgroupBarrier();
    ${queriesStay ? '' : stageQueries(layout, first, slots)}
    ${stageRows(key, slots, invocations, ({ chunk, step }) => keyAt(step, `${first} + ${chunk}`))}
    workgroupBarrier();
    ${multiplyRows(query, key, slots, (quad) => `s[r][${quad}]`)}`,
    )}`
}

/** All that happens to scale · q·k, and the lowest score for what is not seen. */
function finalScores({ problem, tile: { rowGroups, columns, patch } }: PrefillSpec): string {
  const plain = isPlain(problem)
  return `${plain ? 'if (masked) {' : '{'}
      ${eachRow(
        patch,
        `
        let own = rowOf(tile, min(rowGroup + r * ${rowGroups}, tile.rowCount - 1));
        let position = tile.shift + own.token;
        let first = firstKey(position, tile.validKeys);
        let end = endKey(position, tile.validKeys);
        for (var j = 0; j < ${patch}; j++) {
          let at = Pair(tile.batch, own.head, position, firstOwnKey + (j >> 2u) * ${4 * columns} + (j & 3), own.token);
          let visible = ${plain ? '' : '!masked || '}(at.key >= first && at.key < end && isVisible(at));
          let score = s[r][j >> 2u][j & 3];
          s[r][j >> 2u][j & 3] = select(lowest, ${plain ? 'score' : 'finalScore(score, at) * log2e'}, visible);
        }
      `,
      )}
    }`
}

/** From scores to weights, with the row's maximum and sum. */
function softmax({ tile: { patch } }: PrefillSpec, { values }: Layout): string {
  return `var t: Rows;
    ${eachRow(patch, `t[r] = ${patch === 4 ? 'largest(s[r][0])' : 'max(largest(s[r][0]), largest(s[r][1]))'};`)}
    t = rowMaximum(t, lane);
    var rose = false;
    ${eachRow(patch, 'rose = rose || t[r] > m[r] + 8.0;')}
    if (rose) {
      ${eachRow(
        patch,
        `
        let reference = max(m[r], t[r]);
        let rescale = exp2(m[r] - reference);
        m[r] = reference;
        l[r] *= rescale;
        for (var band = 0; band < ${values.bands}; band++) { o[band][r] *= rescale; }
      `,
      )}
    }
    ${eachRow(
      patch,
      `
      for (var quad = 0; quad < ${patch / 4}; quad++) {
        let p = exp2(s[r][quad] - m[r]);
        l[r] += (p.x + p.y) + (p.z + p.w);
        s[r][quad] = p;
      }
    `,
    )}`
}

/** o += p · v, four keys of each patch at a time. Whoever still reads what weights take the place of is waited for. */
function weighValues(
  { problem, tile: { columns, patch } }: PrefillSpec,
  { weight: weights, column: tile, values: plan, invocations, queriesStay }: Layout,
): string {
  const hides = problem.bias !== undefined || problem.scoreCode !== undefined ? 'true' : 'masked'
  const weigh = (quad: number): string => {
    const later = String(4 * columns * quad)
    const weight = problem.dropout
      ? `keptWeights(tile, rowGroup, r, ${plus('firstOwnKey', later)}, s[r][${quad}])`
      : `s[r][${quad}]`
    const firstRow = `${plus('tileKey', later)} + filling * ${4 * plan.groups}`
    const vector = (chunk: string, step: string): string => `valueAt(stagedValue + (${firstRow} + ${step}) * valueStep(), ${chunk})`
    return `${queriesStay && quad === 0 ? '' : 'workgroupBarrier();'}
    ${eachRow(patch, storeWeights(weights, weight))}
    ${multiplyColumns({ weights, tile, plan, invocations, hides, vector: ({ chunk, step }) => vector(chunk, step) }, 'o')}`
  }
  return Array.from({ length: patch / 4 }, (_, quad) => weigh(quad)).join('\n    ')
}

function writeRows({ problem, tile: { rowGroups, columns, patch } }: PrefillSpec, { values, valueChunks }: Layout): string {
  return `let sums = rowSum(l, lane);
  for (var r = 0; r < ${patch}; r++) {
    let row = rowGroup + r * ${rowGroups};
    if (row >= tile.rowCount) { continue; }
    let own = rowOf(tile, row);
    ${endRow(problem, 'm[r]', 'sums[r]')}
    let outputRow = outputBase(tile.batch, own.head, own.token);
    for (var band = 0; band < ${values.bands}; band++) {
      let chunk = band * ${columns} + column;
      ${values.bands * columns === valueChunks ? '' : `if (chunk >= ${valueChunks}) { break; }`}
      outputStore(outputRow, chunk, o[band][r] * factor);
    }
    if (column == 0) { lse[rowIndex(tile.batch, own.head, own.token)] = lseBits(reference, total); }
  }`
}

/** Dropout of the weights of four keys. */
function keptWeights({ rowGroups }: Tiling): string {
  return `fn keptWeights(tile: Tile, rowGroup: i32, r: i32, firstKey: i32, p: vec4f) -> vec4f {
  let own = rowOf(tile, min(rowGroup + r * ${rowGroups}, tile.rowCount - 1));
  var weights = p;
  for (var j = 0; j < 4; j++) {
    weights[j] *= kept(Pair(tile.batch, own.head, tile.shift + own.token, firstKey + j, own.token));
  }
  return weights;
}`
}
