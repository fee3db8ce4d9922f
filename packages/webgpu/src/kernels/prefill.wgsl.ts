import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { declareElements, writeVector, type Access } from '../snippets/elements.wgsl.ts'
import { base, isPlain, problemFunctions, problemInterface, type ProblemSpec } from '../snippets/problem.wgsl.ts'
import { rowReduction } from '../snippets/row-reduction.wgsl.ts'
import { declareTile, planColumns, readRows, stageColumns, stageRows, swizzled, type TileShape } from '../snippets/tiles.wgsl.ts'

/** Tiles are 4 · rowGroups queries by 4 · columns keys; an invocation owns a patch of four by four scores. */
export interface PrefillTile {
  readonly rowGroups: 8 | 16
  readonly columns: 8 | 16
  /** How many elements of a vector are staged at a time. */
  readonly depth: 32 | 64
}

export interface PrefillSpec {
  readonly problem: ProblemSpec
  readonly output: Access<FloatDtype>
  readonly tile: PrefillTile
  /** Whether `columns` neighbouring invocations always share a subgroup. */
  readonly subgroups: boolean
}

export function prefillWorkgroupBytes({ rowGroups, columns, depth }: PrefillTile): number {
  return 16 * ((rowGroups + columns) * depth + 4 * rowGroups * columns)
}

/**
 * Attention over tiles of queries by keys, in workgroup memory and registers. Invocation (i, j) of a grid of `rowGroups`
 * by `columns` owns the scores of four rows and four keys, and of the same rows every `columns`-th chunk of the output:
 *
 *     for each tile of keys that some row sees:
 *       stage Q and K, `depth` elements at a time;  s += q · k        8 loads for 64 multiply-adds
 *       mask s, only where the tile is not wholly visible
 *       t = largest s of each row, over its eight invocations
 *       if t > m + 8: l, o scaled by 2^(m − t); m = t                 rarely: 2⁸ does not hurt float32
 *       p = 2^(s − m);  l += p;  p to workgroup memory
 *       stage V;  o += p · v                                          12 loads for 128 multiply-adds
 *     output = o / l;  lse = m · ln 2 + ln l
 *
 * The query heads that share a key head are rows of one tile, token by token, so keys and values are read once for the
 * whole group.
 */
export const prefill: Kernel<PrefillSpec> = {
  name: 'prefill',

  interface({ problem, output }) {
    const { parameters, buffers } = problemInterface(problem)
    return {
      parameters: {
        ...parameters,
        tiles: 'i32',
        outputOffset: 'i32', outputStride0: 'i32', outputStride1: 'i32', outputStride2: 'i32', outputStride3: 'i32',
      },
      buffers: {
        ...buffers,
        output: declareElements(output, 'read_write'),
        lse: { type: 'array<u32>', access: 'read_write' },
      },
    }
  },

  code(spec) {
    const { problem, output, subgroups } = spec
    const { rowGroups, columns, depth } = spec.tile
    const invocations = rowGroups * columns
    const [rows, keys] = [4 * rowGroups, 4 * columns]
    const queryTile: TileShape = { name: 'queryTile', groups: rowGroups, slots: depth / 32, invocations }
    const keyTile: TileShape = { name: 'keyTile', groups: columns, slots: depth / 32, invocations }
    const weightTile: TileShape = { name: 'weightTile', groups: rowGroups, slots: columns / 8, invocations }
    const phases = phasesOf(problem.headDim, depth)
    const valueChunks = Math.max(1, Math.ceil(problem.valueDim / 4))
    const values = planColumns(keyTile, valueChunks)
    const eachRow = (code: (r: number) => string): string => each(range(4), code)
    const eachOutput = (code: (name: string, r: number) => string): string =>
      each(range(values.sets), (set) => eachRow((r) => code(`o${set}${r}`, r)))
    const scale = `parameters.scale${isPlain(problem) ? ' * log2e' : ''}`
    const stageQuery = (octets: readonly number[]): string =>
      stageRows(queryTile, octets, (part, group, chunk) =>
        `queryAt(batch, keyHead, min(firstRow + ${part} * ${rowGroups} + ${group}, rowCount - 1), ${chunk}) * (${scale})`)
    const storeWeights = (r: number): string => columns === 8
      ? `weightTile${r}0[weightAt] = p;`
      : `if (column < 8) { weightTile${r}0[weightAt] = p; } else { weightTile${r}1[weightAt] = p; }`

    return `${subgroups ? 'enable subgroups;' : ''}
${declarations(this.interface(spec))}
${problemFunctions(problem)}
${writeVector('output', output, problem.valueDim)}
${base('output')}
${[queryTile, keyTile, weightTile].map(declareTile).join('\n')}
${rowReduction(weightTile, columns, subgroups)}

fn queryAt(batch: i32, keyHead: i32, row: i32, chunk: i32) -> vec4f {
  let start = queryBase(batch, keyHead * parameters.group + row % parameters.group, row / parameters.group);
  return ${guarded('query', 'start', problem.headDim)};
}
fn keyAt(start: i32, chunk: i32) -> vec4f { return ${guarded('key', 'start', problem.headDim)}; }
/* What a masked tile holds may be anything, also where nobody looks, and 0 · NaN is not 0. */
fn valueAt(start: i32, chunk: i32, masked: bool) -> vec4f {
  let x = ${guarded('value', 'start', problem.valueDim)};
  if (!masked) { return x; }
  return select(vec4f(), x, (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u));
}

@compute @workgroup_size(${invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = lane % ${columns};
  let rowGroup = lane / ${columns};
  let group = i32(groupId.x) + parameters.firstGroup;
  let plane = group / parameters.tiles;
  /* The last tiles see the most keys under causality: they start first. */
  let tile = parameters.tiles - 1 - group % parameters.tiles;
  let batch = plane / parameters.keyHeads;
  let keyHead = plane % parameters.keyHeads;
  let rowCount = parameters.queryLength * parameters.group;
  let firstRow = tile * ${rows};

  let validKeys = validKeysOf(batch);
  let shift = positionOf(0, validKeys);
  let firstPosition = shift + firstRow / parameters.group;
  let lastPosition = shift + (min(firstRow + ${rows}, rowCount) - 1) / parameters.group;
  let stopKey = endKey(lastPosition, validKeys);
  let fullStart = firstKey(lastPosition, validKeys);
  let fullEnd = endKey(firstPosition, validKeys);
  let keyPlane = keyBase(batch, keyHead, 0);
  let valuePlane = valueBase(batch, keyHead, 0);

  ${eachRow((r) => `let row${r} = firstRow + rowGroup + ${r * rowGroups};
  let token${r} = row${r} / parameters.group;
  let head${r} = keyHead * parameters.group + row${r} % parameters.group;
  var m${r} = lowest;
  var l${r} = 0.0;`)}
  ${eachOutput((o) => `var ${o} = vec4f();`)}
  let weightAt = ${swizzled('rowGroup', '(column % 8)')};
  ${phases.length === 1 ? stageQuery(phases[0] ?? []) : ''}
  for (var tileKey = firstKey(firstPosition, validKeys) / ${keys} * ${keys}; tileKey < stopKey; tileKey += ${keys}) {
    let masked = ${problem.mask || problem.maskCode !== undefined ? 'true' : `tileKey < fullStart || tileKey + ${keys} > fullEnd`};
    ${eachRow((r) => `var s${r} = vec4f();`)}
    ${each(phases, (octets) => `workgroupBarrier();
    ${phases.length === 1 ? '' : stageQuery(octets)}
    ${stageRows({ ...keyTile, slots: octets.length }, octets, (part, group, chunk) =>
      `keyAt(keyPlane + min(tileKey + 4 * ${group} + ${part}, validKeys - 1) * parameters.keyStride2, ${chunk})`)}
    workgroupBarrier();
    for (var c = 0; c < 8; c++) {
      ${each(octets, (_, slot) => `{
      ${readRows('k', 'keyTile', slot, 'column', 'c')}
      ${readRows('q', 'queryTile', slot, 'rowGroup', 'c')}
      ${eachRow((r) => each(range(4), (j) => `s${r}[${j}] = fma(q${r}.w, k${j}.w, fma(q${r}.z, k${j}.z, fma(q${r}.y, k${j}.y, fma(q${r}.x, k${j}.x, s${r}[${j}]))));`))}
      }`)}
    }`)}
    let firstOwnKey = tileKey + column * 4;
    ${isPlain(problem) ? '' : eachRow((r) => each(range(4), (j) => `s${r}[${j}] = finalScore(s${r}[${j}], Pair(batch, head${r}, shift + token${r}, firstOwnKey + ${j}, token${r})) * log2e;`))}
    if (masked) {
      ${eachRow((r) => `{
        let position = shift + token${r};
        let first = firstKey(position, validKeys);
        let end = endKey(position, validKeys);
        ${each(range(4), (j) => `s${r}[${j}] = select(lowest, s${r}[${j}], firstOwnKey + ${j} >= first && firstOwnKey + ${j} < end && isVisible(Pair(batch, head${r}, position, firstOwnKey + ${j}, token${r})));`)}
      }`)}
    }

    let t = rowMaximum(vec4f(${range(4).map((r) => `max(max(s${r}.x, s${r}.y), max(s${r}.z, s${r}.w))`).join(', ')}), lane);
    if (any(t > vec4f(m0, m1, m2, m3) + 8.0)) {
      ${eachRow((r) => `let f${r} = exp2(m${r} - max(m${r}, t[${r}])); m${r} = max(m${r}, t[${r}]); l${r} *= f${r};`)}
      ${eachOutput((o, r) => `${o} *= f${r};`)}
    }
    ${eachRow((r) => `{
      let p = exp2(s${r} - select(m${r}, 0.0, m${r} == lowest));
      l${r} += (p.x + p.y) + (p.z + p.w);
      ${storeWeights(r)}
    }`)}

    ${each(range(values.phases), (phase) => `workgroupBarrier();
    ${stageColumns(keyTile, values, phase, (key, chunk) =>
      `valueAt(valuePlane + min(tileKey + ${key}, validKeys - 1) * parameters.valueStride2, ${chunk}, masked)`)}
    workgroupBarrier();
    for (var b = 0; b < ${values.groups}; b++) {
      let vAt = b * ${columns} + column;
      ${each(range(values.blocks), (block) => {
        const firstGroup = (phase * values.blocks + block) * values.groups
        return `{ ${readRows('p', 'weightTile', Math.floor(firstGroup / 8), 'rowGroup', `(b + ${firstGroup % 8})`)}
      ${each(range(4), (k) => each(range(values.sets), (set) => {
        const { slot, start } = values.place(set, block)
        return `{ let v = keyTile${k}${slot}[vAt${start === 0 ? '' : ` + ${start}`}];
      ${eachRow((r) => `o${set}${r} = fma(vec4f(p${r}[${k}]), v, o${set}${r});`)} }`
      }))} }`
      })}
    }`)}
  }

  let sums = rowSum(vec4f(l0, l1, l2, l3), lane);
  ${eachRow((r) => `if (row${r} < rowCount) {
    var m = m${r};
    var l = sums[${r}];
    var factor = 1.0;
    ${problem.sinks ? `let sink = sinkOf(head${r});
    m = max(m, sink);
    factor = exp2(m${r} - m);
    l = l * factor + select(0.0, exp2(sink - m), sink > lowest);` : ''}
    let empty = l == 0.0;
    let total = select(l, 1.0, empty);
    let outputRow = outputBase(batch, head${r}, token${r});
    ${each(range(values.sets), (set) => {
      const first = set * columns
      const guard = first + columns > valueChunks ? `if (${first} + column < ${valueChunks}) ` : ''
      return `${guard}{ outputStore(outputRow, ${first} + column, o${set}${r} * (factor / total)); }`
    })}
    if (column == 0) {
      lse[(batch * parameters.queryHeads + head${r}) * parameters.queryLength + token${r}] = select(bitcast<u32>(fma(m, ln2, log(total))), 0xff800000u, empty);
    }
  }`)}
}
`
  },
}

/** The octets (32 elements each) of a vector, as many at a time as `depth` holds. */
function phasesOf(dim: number, depth: number): number[][] {
  const octets = range(Math.max(1, Math.ceil(dim / 32)))
  const perPhase = depth / 32
  return range(Math.ceil(octets.length / perPhase)).map((phase) => octets.slice(phase * perPhase, (phase + 1) * perPhase))
}

/** A chunk of a vector, zeros past its end; the test is left out where whole octets make up the vector. */
function guarded(name: string, start: string, dim: number): string {
  const chunks = Math.max(1, Math.ceil(dim / 4))
  if (dim % 32 === 0 && dim > 0) return `${name}Vector(${start}, chunk)`
  return `select(vec4f(), ${name}Vector(${start}, min(chunk, ${chunks - 1})), chunk < ${chunks})`
}

function range(count: number): number[] {
  return [...new Array(count).keys()]
}

function each<T>(items: readonly T[], code: (item: T, index: number) => string): string {
  return items.map(code).join('\n      ')
}
