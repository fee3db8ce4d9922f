import { declarations, type Kernel } from '../kernel.ts'
import { attentionFunctions, attentionInterface, endRow, type AttentionSpec } from '../snippets/attention.wgsl.ts'
import { finite } from '../snippets/elements.wgsl.ts'
import type { ProblemSpec } from '../snippets/problem.wgsl.ts'
import { tileOf, tileWalkParameters, walkTiles } from '../snippets/tile-walk.wgsl.ts'
import { matrixGroupSize, matrixTile, scratchFloats, type MatrixUnit } from './matrix-unit.ts'

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
    const plan = planOf(spec)
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
    ${scoresOf(plan)}
    workgroupBarrier();
    ${softmaxRows(plan)}
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

/** How the products of a tile are dealt out in matrices: to `subgroups` subgroups, in turns. */
interface Plan {
  readonly spec: PrefillMatrixSpec
  /** Matrices of scores. */
  readonly scoreTasks: number
  /** Matrices of the output, `bands` for each `m` rows. */
  readonly outputTasks: number
  readonly bands: number
  /** As many as any subgroup holds of them, numbered. */
  readonly own: readonly number[]
  /** In how many parts a weight is multiplied. */
  readonly weightParts: readonly number[]
}

function planOf(spec: PrefillMatrixSpec): Plan {
  const { m, n, component, largestSubgroup } = spec.unit
  const bands = spec.problem.valueDim / n
  const outputTasks = (rows / m) * bands
  const fewestSubgroups = matrixGroupSize / largestSubgroup
  return {
    spec,
    scoreTasks: (rows / m) * (keys / n),
    outputTasks,
    bands,
    own: [...new Array(Math.ceil(outputTasks / fewestSubgroups)).keys()],
    weightParts: component === 'f16' ? [0, 1] : [0],
  }
}

/** The matrices, the workgroup memory that they are loaded from and stored to, and what is staged there. */
function declareMatrices({ spec: { problem, unit }, weightParts }: Plan): string {
  const { headDim, valueDim } = problem
  const { m, n, k, component } = unit
  return `alias Number = ${component};
alias Left = subgroup_matrix_left<Number, ${k}, ${m}>;
alias Right = subgroup_matrix_right<Number, ${n}, ${k}>;
alias Result = subgroup_matrix_result<f32, ${n}, ${m}>;
fn number(x: f32) -> Number { return Number(x); }
var<workgroup> queries: array<Number, ${rows * headDim}>;
/* Keys, then the values. */
var<workgroup> vectors: array<Number, ${keys * Math.max(headDim, valueDim)}>;
var<workgroup> scores: array<f32, ${scratchFloats(unit, valueDim)}>;
var<workgroup> weights: array<Number, ${weightParts.length * rows * keys}>;
var<workgroup> factors: array<f32, ${rows}>;
var<workgroup> risen: u32;
fn queryOf(tile: Tile, row: i32) -> i32 {
  let own = rowOf(tile, min(row, tile.rowCount - 1));
  return queryBase(tile.batch, own.head, own.token);
}
fn valueAt(tile: Tile, key: i32, chunk: i32, hides: bool) -> vec4f {
  let x = valueVector(valueBase(tile.batch, tile.keyHead, min(key, tile.validKeys - 1)), chunk);
  if (!hides) { return x; }
  return finite(x);
}`
}

/** Fills workgroup memory with `count` vectors, all invocations together; `vector` is WGSL of chunk `chunk` of vector `row`. */
function stageTile(target: string, count: number, dim: number, vector: string): string {
  return `for (var e = lane; e < ${(count * dim) / 4}; e += ${matrixGroupSize}) {
      let row = e / ${dim / 4};
      let chunk = e % ${dim / 4};
      let x = ${vector};
      for (var c = 0; c < 4; c++) { ${target}[4 * e + c] = number(x[c]); }
    }`
}

/** S = Q · Kᵀ, to workgroup memory. */
function scoresOf({ spec: { problem, unit }, scoreTasks }: Plan): string {
  const { headDim } = problem
  const { m, n, k } = unit
  return `for (var task = subgroup; task < ${scoreTasks}; task += subgroups) {
      let row = task / ${keys / n} * ${m};
      let key = task % ${keys / n} * ${n};
      var s = Result();
      for (var c = 0; c < ${headDim}; c += ${k}) {
        let q = subgroupMatrixLoad<Left>(&queries, u32(row * ${headDim} + c), false, ${headDim}u);
        let keysByColumn = subgroupMatrixLoad<Right>(&vectors, u32(key * ${headDim} + c), true, ${headDim}u);
        s = subgroupMatrixMultiplyAccumulate(q, keysByColumn, s);
      }
      subgroupMatrixStore(&scores, u32(row * ${keys} + key), s, false, ${keys}u);
    }`
}

/** P from S, each row by its neighbouring invocations; `m` and `l` go on, and `factors` says what O has to be scaled by. */
function softmaxRows({ spec: { problem }, weightParts }: Plan): string {
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
      ${problem.dropout ? 'p *= kept(at);' : ''}
      ${weightParts
        .map(
          (part) =>
            `weights[${at(part, 'place')}] = number(p);${part + 1 < weightParts.length ? ` p -= f32(weights[place]);` : ''}`,
        )
        .join('\n      ')}`)}`
}

/** Where part `part` of a weight lies. */
function at(part: number, place: string): string {
  return part === 0 ? place : `${part * rows * keys} + ${place}`
}

/** O scaled by each row's factor, where some row's maximum rose. */
function rescaleOutputs(plan: Plan): string {
  const { unit } = plan.spec
  const scale = 'for (var c = 0; c < 4; c++) { scores[place + c] *= factors[row]; }'
  return eachOutput(
    plan,
    (o) => `${unpacked(plan, o, scale)}
      if (task < ${plan.outputTasks}) { ${o} = subgroupMatrixLoad<Result>(&scores, u32(subgroup * ${unit.m * unit.n}), false, ${unit.n}u); }
      workgroupBarrier();`,
  )
}

/** O += P · V, whose weights may be in parts. */
function addValues(plan: Plan): string {
  const { outputTasks, bands, weightParts } = plan
  const { problem, unit } = plan.spec
  const { m, n, k } = unit
  const { valueDim } = problem
  const weightsOf = (part: number): string =>
    `subgroupMatrixLoad<Left>(&weights, u32(${at(part, `row * ${keys} + key`)}), false, ${keys}u)`
  return eachOutput(
    plan,
    (o) => `
      if (task < ${outputTasks}) {
        let row = task / ${bands} * ${m};
        let band = task % ${bands} * ${n};
        for (var key = 0; key < ${keys}; key += ${k}) {
          let v = subgroupMatrixLoad<Right>(&vectors, u32(key * ${valueDim} + band), false, ${valueDim}u);
          ${weightParts.map((part) => `${o} = subgroupMatrixMultiplyAccumulate(${weightsOf(part)}, v, ${o});`).join('\n          ')}
        }
      }`,
  )
}

/** Each row's `lse`, and to `factors` what its output is multiplied by. */
function endRows(problem: ProblemSpec): string {
  return `${exchange('l', (other) => `l + ${other}`)}
  ${endRow(problem, 'm', 'l')}
  workgroupBarrier();
  factors[ownRow] = factor;
  if (lane % ${lanesPerRow} == 0 && ownRow < tile.rowCount) { lse[rowIndex(tile.batch, own.head, own.token)] = lseBits(reference, total); }`
}

function writeOutputs(plan: Plan): string {
  const { n } = plan.spec.unit
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

/** `code(o)` for each output matrix that a subgroup holds; `task` says which of all it is, if there are that many. */
function eachOutput({ own }: Plan, code: (o: string) => string): string {
  return own.map((i) => `{ let task = subgroup + ${i} * subgroups; ${code(`o${i}`)} }`).join('\n    ')
}

/** `code` with an output matrix in `scores`, four elements of row `row` at a time, from `place` on. */
function unpacked({ spec: { unit }, outputTasks, bands }: Plan, o: string, code: string): string {
  const { m, n } = unit
  return `
      if (task < ${outputTasks}) { subgroupMatrixStore(&scores, u32(subgroup * ${m * n}), ${o}, false, ${n}u); }
      workgroupBarrier();
      if (task < ${outputTasks}) {
        for (var e = 4 * subgroupLane; e < ${m * n}; e += 4 * subgroupSize) {
          let row = task / ${bands} * ${m} + e / ${n};
          let place = subgroup * ${m * n} + e;
          ${code}
        }
      }
      workgroupBarrier();`
}

/** Combines `x` over the invocations of a row, which are neighbours. */
function exchange(x: string, combine: (other: string) => string): string {
  return [1, 2, 4, 8]
    .filter((step) => step < lanesPerRow)
    .map((step) => `${x} = ${combine(`subgroupShuffleXor(${x}, ${step}u)`)};`)
    .join(' ')
}
