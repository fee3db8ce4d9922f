import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { declareElements, declareStrides, writeVector, type Access } from '../snippets/elements.wgsl.ts'
import { base, isPlain, lseBits, problemFunctions, problemInterface, type ProblemSpec } from '../snippets/problem.wgsl.ts'
import { addDot, quotient, remainder } from '../snippets/arithmetic.wgsl.ts'

export interface DecodeSpec {
  readonly problem: ProblemSpec
  readonly output: Access<FloatDtype>
  /** Rows of a workgroup, which share the keys they read. */
  readonly rows: 1 | 2 | 4 | 8
  /** Invocations that share a key, each with every `lanes`-th chunk of its vectors. */
  readonly lanes: 4 | 8 | 16
  /** Whether they always share a subgroup. */
  readonly subgroups: boolean
  /** Whether the device has counted the splits, in a word of `context`; see `count-splits.wgsl`. */
  readonly counted: boolean
}

export const decodeGroupSize = 128

/** Keys that a workgroup reads at a time. */
export function keysTogether(lanes: number): number {
  return decodeGroupSize / lanes
}

/**
 * Attention of few rows over many keys, limited by how fast keys and values can be read. A workgroup takes the rows that
 * share a key head (queries times grouped heads) and a share of the keys, a split. `lanes` neighbouring invocations read
 * one key together, so that reads are contiguous, and keep a softmax of their own:
 *
 *     for each key of the split, 128 / lanes keys at a time:
 *       s = Σ over lanes of q · k            the only exchange: a few steps between lanes of a subgroup
 *       if s > m: l, o scaled by 2^(m − s); m = s
 *       p = 2^(s − m);  l += p;  o += p · v
 *     merge the softmaxes of the workgroup through workgroup memory
 *
 * No barrier in the loop, and nothing staged that is read once. How many keys a split takes follows from the length on
 * the device, and so may the number of splits: lengths need not be known here. The merge kernel puts splits together.
 */
export const decode: Kernel<DecodeSpec> = {
  name: 'decode',

  interface({ problem, output, counted }) {
    const { parameters, buffers } = problemInterface(problem)
    return {
      parameters: {
        ...parameters,
        ...(counted ? { splitsAt: 'i32' as const } : { splits: 'i32' as const }),
        ...declareStrides('output'),
        outputSplitStride: 'i32',
      },
      buffers: {
        ...buffers,
        output: declareElements(output, 'read_write'),
        lse: { type: 'array<u32>', access: 'read_write' },
      },
    }
  },

  code(spec) {
    const { problem, output, rows, lanes, subgroups, counted } = spec
    const keys = keysTogether(lanes)
    const queryChunks = Math.max(1, Math.ceil(problem.headDim / 4))
    const valueChunks = Math.max(1, Math.ceil(problem.valueDim / 4))
    const [ownQuery, ownValue] = [Math.ceil(queryChunks / lanes), Math.ceil(valueChunks / lanes)]
    const plain = isPlain(problem)
    const scale = `parameters.scale${plain ? ' * log2e' : ''}`
    const together = Math.min(rows, 4)
    const chunk = (chunks: number, read: (chunk: string) => string): string =>
      chunks % lanes === 0
        ? read(`(lane + i * ${lanes})`)
        : `select(vec4f(), ${read(`min(lane + i * ${lanes}, ${chunks - 1})`)}, lane + i * ${lanes} < ${chunks})`
    const eachRow = (code: string): string => `for (var r = 0; r < ${rows}; r++) { ${code} }`
    return `${subgroups ? 'enable subgroups;' : ''}
${declarations(this.interface(spec))}
${problemFunctions(problem)}
${writeVector('output', output, problem.valueDim)}
${base('output')}
${lseBits}
var<workgroup> maxima: array<array<f32, ${keys}>, ${rows}>;
var<workgroup> sums: array<array<f32, ${keys}>, ${rows}>;
var<workgroup> outputs: array<array<vec4f, ${decodeGroupSize}>, ${together}>;
${sumOverLanes(lanes, rows, subgroups)}
${addDot}

@compute @workgroup_size(${decodeGroupSize})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let index = i32(localIndex);
  let lane = ${remainder('index', lanes)};
  let slot = ${quotient('index', lanes)};
  let rowCount = parameters.queryLength * parameters.group;
  let blocks = (rowCount + ${rows - 1}) / ${rows};
  let group = i32(groupId.x) + parameters.firstGroup;
  let splits = ${counted ? 'i32(context[parameters.splitsAt])' : 'parameters.splits'};
  let split = group % splits;
  let firstRow = group / splits % blocks * ${rows};
  let plane = group / (splits * blocks);
  ${counted ? 'if (plane >= parameters.batch * parameters.keyHeads) { return; }' : ''}
  let batch = plane / parameters.keyHeads;
  let keyHead = plane % parameters.keyHeads;

  /* The keys that any of the rows sees, divided among the splits. */
  let validKeys = validKeysOf(batch);
  let shift = positionOf(0, validKeys);
  let lastRow = min(firstRow + ${rows}, rowCount) - 1;
  let first = firstKey(shift + firstRow / parameters.group, validKeys);
  let end = endKey(shift + lastRow / parameters.group, validKeys);
  let perSplit = (max(0, end - first) + splits * ${keys} - 1) / (splits * ${keys}) * ${keys};
  let start = first + split * perSplit;
  let stop = min(start + perSplit, end);

  /* The rows, and which of the split's keys each of them sees. */
  var heads = array<i32, ${rows}>();
  var tokens = array<i32, ${rows}>();
  var firsts = array<i32, ${rows}>();
  var ends = array<i32, ${rows}>();
  var q = array<array<vec4f, ${ownQuery}>, ${rows}>();
  ${eachRow(`
    let row = min(firstRow + r, lastRow);
    tokens[r] = row / parameters.group;
    heads[r] = keyHead * parameters.group + row - tokens[r] * parameters.group;
    firsts[r] = firstKey(shift + tokens[r], validKeys);
    ends[r] = select(0, min(endKey(shift + tokens[r], validKeys), stop), firstRow + r <= lastRow);
    let queryRow = queryBase(batch, heads[r], tokens[r]);
    for (var i = 0; i < ${ownQuery}; i++) { q[r][i] = ${chunk(queryChunks, (c) => `queryVector(queryRow, ${c})`)} * (${scale}); }
  `)}

  var m = array<f32, ${rows}>();
  var l = array<f32, ${rows}>();
  var o = array<array<vec4f, ${ownValue}>, ${rows}>();
  ${eachRow('m[r] = lowest;')}
  for (var firstOfAll = start; firstOfAll < stop; firstOfAll += ${keys}) {
    let key = firstOfAll + slot;
    let keyRow = keyBase(batch, keyHead, min(key, stop - 1));
    var s = array<f32, ${rows}>();
    for (var i = 0; i < ${ownQuery}; i++) {
      let k = ${chunk(queryChunks, (c) => `keyVector(keyRow, ${c})`)};
      ${eachRow('s[r] = addDot(q[r][i], k, s[r]);')}
    }
    s = sumOverLanes(s, index);
    var seen = false;
    ${eachRow(`
      let at = Pair(batch, heads[r], shift + tokens[r], key, tokens[r]);
      let visible = key >= firsts[r] && key < ends[r] && isVisible(at);
      let score = select(lowest, ${plain ? 's[r]' : 'finalScore(s[r], at) * log2e'}, visible);
      s[r] = 0.0;
      if (score > lowest) {
        seen = true;
        if (score > m[r]) {
          let rescale = exp2(m[r] - score);
          l[r] *= rescale;
          for (var i = 0; i < ${ownValue}; i++) { o[r][i] *= rescale; }
          m[r] = score;
        }
        let p = exp2(score - m[r]);
        l[r] += p;
        s[r] = ${problem.dropout ? 'p * kept(at)' : 'p'};
      }
    `)}
    if (seen) {
      let valueRow = valueBase(batch, keyHead, key);
      for (var i = 0; i < ${ownValue}; i++) {
        let v = ${chunk(valueChunks, (c) => `valueVector(valueRow, ${c})`)};
        ${eachRow('o[r][i] = fma(vec4f(s[r]), v, o[r][i]);')}
      }
    }
  }

  if (lane == 0) { ${eachRow('maxima[r][slot] = m[r]; sums[r][slot] = l[r];')} }
  workgroupBarrier();
  for (var firstOfRows = 0; firstOfRows < ${rows}; firstOfRows += ${together}) {
    for (var i = 0; i < ${ownValue}; i++) {
      for (var r = 0; r < ${together}; r++) { outputs[r][index] = o[firstOfRows + r][i]; }
      workgroupBarrier();
      let r = firstOfRows + slot;
      let row = firstRow + r;
      if (slot < ${together} && row <= lastRow) {
        let head = keyHead * parameters.group + row % parameters.group;
        let token = row / parameters.group;
        var largest = ${problem.sinks ? 'select(lowest, sinkOf(head), split == 0)' : 'lowest'};
        ${problem.sinks ? 'let sink = largest;' : ''}
        for (var other = 0; other < ${keys}; other++) { largest = max(largest, maxima[r][other]); }
        var total = ${problem.sinks ? 'select(0.0, exp2(sink - largest), sink > lowest)' : '0.0'};
        var sum = vec4f();
        for (var other = 0; other < ${keys}; other++) {
          let weight = exp2(maxima[r][other] - largest);
          total = fma(sums[r][other], weight, total);
          sum = fma(outputs[slot][other * ${lanes} + lane], vec4f(weight), sum);
        }
        let c = lane + i * ${lanes};
        if (c < ${valueChunks}) {
          let outputRow = outputBase(batch, head, token) + split * parameters.outputSplitStride;
          outputStore(outputRow, c, sum / select(total, 1.0, total == 0.0));
        }
        if (c == 0) {
          let plane = (split * parameters.batch + batch) * parameters.queryHeads + head;
          lse[plane * parameters.queryLength + token] = lseBits(largest, total);
        }
      }
      workgroupBarrier();
    }
  }
}
`
  },
}

/** `sumOverLanes(x, index)`: of the `lanes` neighbouring invocations that share a key, by exchange or through memory. */
function sumOverLanes(lanes: number, rows: number, subgroups: boolean): string {
  const type = `array<f32, ${rows}>`
  if (subgroups) {
    const steps = [1, 2, 4, 8].filter((step) => step < lanes).map((step) => `y[r] += subgroupShuffleXor(y[r], ${step}u);`)
    return `fn sumOverLanes(x: ${type}, index: i32) -> ${type} {
  var y = x;
  for (var r = 0; r < ${rows}; r++) { ${steps.join(' ')} }
  return y;
}`
  }
  return `var<workgroup> shares: array<${type}, ${decodeGroupSize}>;
fn sumOverLanes(x: ${type}, index: i32) -> ${type} {
  shares[index] = x;
  workgroupBarrier();
  var y = ${type}();
  let first = index & ${-lanes};
  for (var other = 0; other < ${lanes}; other++) {
    for (var r = 0; r < ${rows}; r++) { y[r] += shares[first + other][r]; }
  }
  workgroupBarrier();
  return y;
}`
}
