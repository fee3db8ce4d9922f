import { declarations, type Kernel } from '../kernel.ts'
import { attentionFunctions, attentionInterface, endRow, type AttentionSpec } from '../snippets/attention.wgsl.ts'
import { finite } from '../snippets/elements.wgsl.ts'
import type { ProblemSpec } from '../snippets/problem.wgsl.ts'
import { tileOf, tileWalkParameters, walkTiles } from '../snippets/tile-walk.wgsl.ts'
import {
  addValues,
  declareMatrices,
  eachOutput,
  multiplyKeys,
  planMatrices,
  rescaleOutputs,
  unpacked,
  weightPlace,
  type MatrixPlan,
} from './matrix-products.wgsl.ts'
import { matrixGroupSize, matrixTile, type MatrixUnit } from './matrix-unit.ts'

export interface PrefillMatrixSpec extends AttentionSpec {
  readonly unit: MatrixUnit
}

const { rows, keys } = matrixTile
const [lanesPerRow, keysPerLane] = [matrixGroupSize / rows, (keys * rows) / matrixGroupSize]

/**
 * Prefill whose products are done by matrix units: instructions of a whole subgroup that multiply small matrices. WGSL hides
 * which invocation holds which element, so scores pass through workgroup memory to be masked and exponentiated, and the output
 * stays in matrices over all tiles of keys:
 *
 *     for each tile of keys that some row sees:
 *       stage K;  S = Q · Kᵀ, its matrices dealt to the subgroups;  S to workgroup memory
 *       s = score(S), masked;  t = largest s of each row
 *       if t > m + 8: l scaled by 2^(m − t); m = t
 *       p = 2^(s − m);  l += p;  P to workgroup memory
 *       stage V;  where some row's m rose, O through workgroup memory to be scaled:  rarely
 *       O += P · V, its matrices dealt to the subgroups
 *     output = O / l;  lse = m · ln 2 + ln l
 *
 * Units that multiply float16 sum in float32. Queries, keys and values that are float16 lose nothing in them, as they are not
 * scaled before; a weight p does, so it goes in two parts, p = p₁ + p₂, each rounded to float16.
 *
 * WGSL does not say which invocations make a subgroup. Assumed is what devices do: that subgroups are full and of one size, and
 * that subgroup `i` is the invocations from `i · size` on, in their order. Rows are shared by neighbours, who exchange maxima and
 * sums, and matrices are dealt by `i`; where it does not hold, results are wrong, so these units are never a default, and `tune`
 * compares what comes out with the reference before it chooses them.
 */
export const prefillMatrix: Kernel<PrefillMatrixSpec> = {
  name: 'prefill-matrix',

  interface: (spec) => attentionInterface(spec, tileWalkParameters),

  code(spec) {
    const { problem, unit } = spec
    const { headDim, valueDim } = problem
    const plan = planMatrices(unit, problem)
    const key = 'keyVector(keyBase(tile.batch, tile.keyHead, min(tileKey + row, tile.validKeys - 1)), chunk)'
    return `${unit.component === 'f16' ? 'enable f16;\n' : ''}enable subgroups;
enable chromium_experimental_subgroup_matrix;
/* Subgroups take different matrices, all of their invocations together. */
diagnostic(off, chromium.subgroup_matrix_uniformity);
${declarations(this.interface(spec))}
${attentionFunctions(spec)}
${tileOf(rows)}
${finite}
${declareMatrices(plan)}
${readTiles}

@compute @workgroup_size(${matrixGroupSize})
fn main(
  @builtin(workgroup_id) groupId: vec3u,
  @builtin(local_invocation_index) localIndex: u32,
  @builtin(subgroup_invocation_id) subgroupIndex: u32,
  @builtin(subgroup_size) size: u32,
) {
  let lane = i32(localIndex);
  let subgroupLane = i32(subgroupIndex);
  let subgroupSize = i32(size);
  let subgroup = lane / subgroupSize;
  let subgroups = ${matrixGroupSize} / subgroupSize;

  /* Of the tile's rows, the one that this invocation and its neighbours mask and exponentiate. */
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);
  let ownRow = lane / ${lanesPerRow};
  let own = rowOf(tile, min(ownRow, tile.rowCount - 1));
  let position = tile.shift + own.token;
  let first = firstKey(position, tile.validKeys);
  let end = endKey(position, tile.validKeys);

  ${stageTile('queries', rows, headDim, 'queryVector(queryOf(tile, row), chunk)')}
  var m = lowest;
  var l = 0.0;
  ${plan.own.map((i) => `var o${i}: Result;`).join(' ')}
  ${walkTiles(
    keys,
    { blockMap: false, mask: problem.mask || problem.maskCode !== undefined },
    `
    let hides = ${problem.bias || problem.scoreCode ? 'true' : 'masked'};
    workgroupBarrier();
    ${stageTile('vectors', keys, headDim, key)}
    workgroupBarrier();
    ${multiplyKeys(plan)}
    workgroupBarrier();
    ${softmaxRows(problem, plan)}
    ${stageTile('vectors', keys, valueDim, 'valueAt(tile, tileKey + row, chunk, hides)')}
    let someRose = workgroupUniformLoad(&risen) != 0u;
    if (someRose) {
      if (lane == 0) { risen = 0u; }
      ${rescaleOutputs(plan)}
    }
    ${addValues(plan)}
  `,
  )}
  ${endRows(problem)}
  ${writeOutputs(plan)}
}
`
  },
}

/** `queryOf(tile, row)`, where a row's query starts, and `valueAt`, finite where nobody may see it. */
const readTiles = `fn queryOf(tile: Tile, row: i32) -> i32 {
  let own = rowOf(tile, min(row, tile.rowCount - 1));
  return queryBase(tile.batch, own.head, own.token);
}
fn valueAt(tile: Tile, key: i32, chunk: i32, hides: bool) -> vec4f {
  let x = valueVector(valueBase(tile.batch, tile.keyHead, min(key, tile.validKeys - 1)), chunk);
  if (!hides) { return x; }
  return finite(x);
}`

/** Fills workgroup memory with `count` vectors, all invocations together; `vector` is WGSL of chunk `chunk` of vector `row`. */
function stageTile(target: string, count: number, dim: number, vector: string): string {
  return `for (var e = lane; e < ${(count * dim) / 4}; e += ${matrixGroupSize}) {
      let row = e / ${dim / 4};
      let chunk = e % ${dim / 4};
      let x = ${vector};
      for (var c = 0; c < 4; c++) { ${target}[4 * e + c] = number(x[c]); }
    }`
}

/** P from S, each row by its neighbouring invocations; `m` and `l` go on, and `factors` says what O has to be scaled by. */
function softmaxRows({ dropout }: ProblemSpec, { weightParts }: MatrixPlan): string {
  const eachKey = (code: string): string => `for (var j = 0; j < ${keysPerLane}; j++) {
      let key = lane % ${lanesPerRow} + ${lanesPerRow} * j;
      let at = Pair(tile.batch, own.head, position, tileKey + key, own.token);
      let place = ownRow * ${keys} + key;
      ${code}
    }`
  return `var s: array<f32, ${keysPerLane}>;
    var t = lowest;
    ${eachKey(`let visible = !hides || (at.key >= first && at.key < end && isVisible(at));
      s[j] = select(lowest, finalScore(scores[place] * parameters.scale, at) * log2e, visible);
      t = max(t, s[j]);`)}
    ${exchange('t', (other) => `max(t, ${other})`)}
    var rescale = 1.0;
    if (t > m + 8.0) {
      rescale = exp2(m - t);
      m = t;
      l *= rescale;
      risen = 1u;
    }
    factors[ownRow] = rescale;
    ${eachKey(`var p = exp2(s[j] - select(m, 0.0, m == lowest));
      l += p;
      ${dropout ? 'p *= kept(at);' : ''}
      ${weightParts
        .map(
          (part) =>
            `weights[${weightPlace(part, 'place')}] = number(p);${part + 1 < weightParts.length ? ` p -= f32(weights[place]);` : ''}`,
        )
        .join('\n      ')}`)}`
}

/** Each row's `lse`, and to `factors` what its output is multiplied by. */
function endRows(problem: ProblemSpec): string {
  return `${exchange('l', (other) => `l + ${other}`)}
  ${endRow(problem, 'm', 'l')}
  workgroupBarrier();
  factors[ownRow] = factor;
  if (lane % ${lanesPerRow} == 0 && ownRow < tile.rowCount) { lse[rowIndex(tile.batch, own.head, own.token)] = lseBits(reference, total); }`
}

function writeOutputs(plan: MatrixPlan): string {
  const { n } = plan.unit
  return eachOutput(plan, (o) =>
    unpacked(
      plan,
      o,
      `if (row < tile.rowCount) {
            let token = rowOf(tile, row);
            let chunk = (task % ${plan.bands} * ${n} + e % ${n}) >> 2u;
            let x = vec4f(scores[place], scores[place + 1], scores[place + 2], scores[place + 3]);
            outputStore(outputBase(tile.batch, token.head, token.token), chunk, x * factors[row]);
          }`,
    ),
  )
}

/** Combines `x` over the invocations of a row, which are neighbours. */
function exchange(x: string, combine: (other: string) => string): string {
  return [1, 2, 4, 8]
    .filter((step) => step < lanesPerRow)
    .map((step) => `${x} = ${combine(`subgroupShuffleXor(${x}, ${step}u)`)};`)
    .join(' ')
}
