import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { declareElements, declareStrides, finite, writeVector, type Access } from '../snippets/elements.wgsl.ts'
import { base, problemFunctions, problemInterface, type ProblemSpec } from '../snippets/problem.wgsl.ts'
import { tileOf, tileWalkParameters, walkTiles } from '../snippets/tile-walk.wgsl.ts'
import { matrixGroupSize, matrixTile, scratchFloats, type MatrixUnit } from './matrix-unit.ts'

export interface PrefillMatrixSpec {
  readonly problem: ProblemSpec
  readonly output: Access<FloatDtype>
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

  interface({ problem, output }) {
    const { parameters, buffers } = problemInterface(problem)
    return {
      parameters: { ...parameters, ...tileWalkParameters, ...declareStrides('output') },
      buffers: {
        ...buffers,
        output: declareElements(output, 'read_write'),
        lse: { type: 'array<u32>', access: 'read_write' },
      },
    }
  },

  code(spec) {
    const { problem, output, unit } = spec
    const { headDim, valueDim } = problem
    const { m, n, k, component } = unit
    const parts = component === 'f16' ? 2 : 1
    const bands = valueDim / n
    const scoreTasks = (rows / m) * (keys / n)
    const outputTasks = (rows / m) * bands
    const fewestSubgroups = matrixGroupSize / unit.largestSubgroup
    const own = [...new Array(Math.ceil(outputTasks / fewestSubgroups)).keys()]
    /** For each matrix of the output that is this subgroup's; `task` says which of all it is. */
    const eachOwn = (code: (o: string) => string): string =>
      own.map((i) => `{ let task = subgroup + ${i} * subgroups; ${code(`o${i}`)} }`).join('\n    ')
    /** The same with the matrix in `scores`, where the subgroup's invocations reach its elements. */
    const eachOwnUnpacked = (code: string, after: (o: string) => string): string =>
      eachOwn(
        (o) => `
      if (task < ${outputTasks}) { subgroupMatrixStore(&scores, u32(subgroup * ${m * n}), ${o}, false, ${n}u); }
      workgroupBarrier();
      if (task < ${outputTasks}) {
        for (var e = 4 * subgroupLane; e < ${m * n}; e += 4 * subgroupSize) {
          let row = task / ${bands} * ${m} + e / ${n};
          let place = subgroup * ${m * n} + e;
          ${code}
        }
      }
      workgroupBarrier();
      ${after(o)}`,
      )
    const stage = (target: string, count: number, dim: number, vector: string): string => `
    for (var e = lane; e < ${(count * dim) / 4}; e += ${matrixGroupSize}) {
      let row = e / ${dim / 4};
      let chunk = e % ${dim / 4};
      let x = ${vector};
      for (var c = 0; c < 4; c++) { ${target}[4 * e + c] = Number(x[c]); }
    }`

    return `${component === 'f16' ? 'enable f16;\n' : ''}enable subgroups;
enable chromium_experimental_subgroup_matrix;
/* Subgroups take different matrices, all of their invocations together. */
diagnostic(off, chromium.subgroup_matrix_uniformity);
${declarations(this.interface(spec))}
${problemFunctions(problem)}
${writeVector('output', output, valueDim)}
${base('output')}
${tileOf(rows)}
alias Number = ${component};
alias Left = subgroup_matrix_left<Number, ${k}, ${m}>;
alias Right = subgroup_matrix_right<Number, ${n}, ${k}>;
alias Result = subgroup_matrix_result<f32, ${n}, ${m}>;
var<workgroup> queries: array<Number, ${rows * headDim}>;
/* Keys, then the values. */
var<workgroup> vectors: array<Number, ${keys * Math.max(headDim, valueDim)}>;
var<workgroup> scores: array<f32, ${scratchFloats(unit, valueDim)}>;
var<workgroup> weights: array<Number, ${parts * rows * keys}>;
var<workgroup> factors: array<f32, ${rows}>;
var<workgroup> risen: u32;
${finite}
fn valueAt(tile: Tile, key: i32, chunk: i32, hides: bool) -> vec4f {
  let x = valueVector(valueBase(tile.batch, tile.keyHead, min(key, tile.validKeys - 1)), chunk);
  if (!hides) { return x; }
  return finite(x);
}

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
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);
  let ownRow = lane / ${lanesPerRow};
  let own = rowOf(tile, min(ownRow, tile.rowCount - 1));
  let position = tile.shift + own.token;
  let first = firstKey(position, tile.validKeys);
  let end = endKey(position, tile.validKeys);
  ${stage('queries', rows, headDim, 'queryVector(queryOf(tile, row), chunk)')}

  var m = lowest;
  var l = 0.0;
  ${own.map((i) => `var o${i}: Result;`).join(' ')}
  ${walkTiles(
    keys,
    { blockMap: false, mask: problem.mask || problem.maskCode !== undefined },
    `
    let hides = ${problem.bias || problem.scoreCode ? 'true' : 'masked'};
    workgroupBarrier();
    ${stage('vectors', keys, headDim, 'keyVector(keyBase(tile.batch, tile.keyHead, min(tileKey + row, tile.validKeys - 1)), chunk)')}
    workgroupBarrier();
    for (var task = subgroup; task < ${scoreTasks}; task += subgroups) {
      let row = task / ${keys / n} * ${m};
      let key = task % ${keys / n} * ${n};
      var s = Result();
      for (var c = 0; c < ${headDim}; c += ${k}) {
        let q = subgroupMatrixLoad<Left>(&queries, u32(row * ${headDim} + c), false, ${headDim}u);
        let keysByColumn = subgroupMatrixLoad<Right>(&vectors, u32(key * ${headDim} + c), true, ${headDim}u);
        s = subgroupMatrixMultiplyAccumulate(q, keysByColumn, s);
      }
      subgroupMatrixStore(&scores, u32(row * ${keys} + key), s, false, ${keys}u);
    }
    workgroupBarrier();

    var s: array<f32, ${keysPerLane}>;
    var t = lowest;
    for (var j = 0; j < ${keysPerLane}; j++) {
      let key = lane % ${lanesPerRow} + ${lanesPerRow} * j;
      let at = Pair(tile.batch, own.head, position, tileKey + key, own.token);
      let visible = !hides || (at.key >= first && at.key < end && isVisible(at));
      s[j] = select(lowest, finalScore(scores[ownRow * ${keys} + key] * parameters.scale, at) * log2e, visible);
      t = max(t, s[j]);
    }
    ${exchange('t', (other) => `max(t, ${other})`)}
    var rescale = 1.0;
    if (t > m + 8.0) {
      rescale = exp2(m - t);
      m = t;
      l *= rescale;
      risen = 1u;
    }
    factors[ownRow] = rescale;
    for (var j = 0; j < ${keysPerLane}; j++) {
      let key = lane % ${lanesPerRow} + ${lanesPerRow} * j;
      var p = exp2(s[j] - select(m, 0.0, m == lowest));
      l += p;
      ${problem.dropout ? 'p *= kept(Pair(tile.batch, own.head, position, tileKey + key, own.token));' : ''}
      let place = ownRow * ${keys} + key;
      weights[place] = Number(p);
      ${parts === 2 ? `weights[${rows * keys} + place] = Number(p - f32(weights[place]));` : ''}
    }
    ${stage('vectors', keys, valueDim, 'valueAt(tile, tileKey + row, chunk, hides)')}
    let someRose = workgroupUniformLoad(&risen) != 0u;
    if (someRose) {
      if (lane == 0) { risen = 0u; }
      ${eachOwnUnpacked(
        `for (var c = 0; c < 4; c++) { scores[place + c] *= factors[row]; }`,
        (o) => `if (task < ${outputTasks}) { ${o} = subgroupMatrixLoad<Result>(&scores, u32(subgroup * ${m * n}), false, ${n}u); }
      workgroupBarrier();`,
      )}
    }
    ${eachOwn(
      (o) => `
      if (task < ${outputTasks}) {
        let row = task / ${bands} * ${m};
        let band = task % ${bands} * ${n};
        for (var key = 0; key < ${keys}; key += ${k}) {
          let v = subgroupMatrixLoad<Right>(&vectors, u32(key * ${valueDim} + band), false, ${valueDim}u);
          ${[...new Array(parts).keys()].map((part) => `${o} = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(${part * rows * keys} + row * ${keys} + key), false, ${keys}u), v, ${o});`).join('\n          ')}
        }
      }`,
    )}
  `,
  )}

  ${exchange('l', (other) => `l + ${other}`)}
  var reference = m;
  var total = l;
  var factor = 1.0;
  ${
    problem.sinks
      ? `let sink = sinkOf(own.head);
  reference = max(m, sink);
  factor = exp2(m - reference);
  total = l * factor + select(0.0, exp2(sink - reference), sink > lowest);`
      : ''
  }
  let empty = total == 0.0;
  total = select(total, 1.0, empty);
  workgroupBarrier();
  factors[ownRow] = factor / total;
  if (lane % ${lanesPerRow} == 0 && ownRow < tile.rowCount) {
    lse[(tile.batch * parameters.queryHeads + own.head) * parameters.queryLength + own.token] = select(bitcast<u32>(fma(reference, ln2, log(total))), 0xff800000u, empty);
  }
  ${eachOwnUnpacked(
    `if (row < tile.rowCount) {
            let token = rowOf(tile, row);
            let chunk = (task % ${bands} * ${n} + e % ${n}) >> 2u;
            outputStore(outputBase(tile.batch, token.head, token.token), chunk, vec4f(scores[place], scores[place + 1], scores[place + 2], scores[place + 3]) * factors[row]);
          }`,
    () => '',
  )}
}

fn queryOf(tile: Tile, row: i32) -> i32 {
  let own = rowOf(tile, min(row, tile.rowCount - 1));
  return queryBase(tile.batch, own.head, own.token);
}
`
  },
}

/** Combines `x` over the invocations of a row, which are neighbours. */
function exchange(x: string, combine: (other: string) => string): string {
  return [1, 2, 4, 8]
    .filter((step) => step < lanesPerRow)
    .map((step) => `${x} = ${combine(`subgroupShuffleXor(${x}, ${step}u)`)};`)
    .join(' ')
}
