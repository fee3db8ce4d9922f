import { declarations, type Kernel } from '../kernel.ts'
import { attentionFunctions, attentionInterface, type AttentionSpec } from '../snippets/attention.wgsl.ts'
import { isPlain } from '../snippets/problem.wgsl.ts'
import { addDot, quotient, remainder } from '../snippets/arithmetic.wgsl.ts'

export interface DecodeSpec extends AttentionSpec {
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

  interface: (spec) => attentionInterface(spec, { [spec.counted ? 'splitsAt' : 'splits']: 'i32', outputSplitStride: 'i32' }),

  code(spec) {
    const { rows, lanes, subgroups } = spec
    const plan = planOf(spec)
    const { keys, ownValue } = plan
    return `${subgroups ? 'enable subgroups;' : ''}
${declarations(this.interface(spec))}
${attentionFunctions(spec)}
var<workgroup> maxima: array<array<f32, ${keys}>, ${rows}>;
var<workgroup> sums: array<array<f32, ${keys}>, ${rows}>;
var<workgroup> outputs: array<array<vec4f, ${decodeGroupSize}>, ${plan.together}>;
${sumOverLanes(lanes, rows, subgroups)}
${addDot}

@compute @workgroup_size(${decodeGroupSize})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  ${findSplit(plan)}
  ${loadRows(plan)}

  var m = array<f32, ${rows}>();
  var l = array<f32, ${rows}>();
  var o = array<array<vec4f, ${ownValue}>, ${rows}>();
  ${eachRow(rows, 'm[r] = lowest;')}
  for (var firstOfAll = start; firstOfAll < stop; firstOfAll += ${keys}) {
    let key = firstOfAll + slot;
    ${scores(plan)}
    ${softmax(plan)}
    ${weighValues(plan)}
  }
  ${mergeSlots(plan)}
}
`
  },
}

interface Plan extends DecodeSpec {
  /** Keys that are read together, each by the lanes of a slot. */
  readonly keys: number
  readonly queryChunks: number
  readonly valueChunks: number
  /** Chunks of a lane. */
  readonly ownQuery: number
  readonly ownValue: number
  /** Rows whose outputs are merged at a time. */
  readonly together: number
}

function planOf(spec: DecodeSpec): Plan {
  const { problem, rows, lanes } = spec
  const queryChunks = Math.max(1, Math.ceil(problem.headDim / 4))
  const valueChunks = Math.max(1, Math.ceil(problem.valueDim / 4))
  return {
    ...spec,
    keys: keysTogether(lanes),
    queryChunks,
    valueChunks,
    ownQuery: Math.ceil(queryChunks / lanes),
    ownValue: Math.ceil(valueChunks / lanes),
    together: Math.min(rows, 4),
  }
}

const eachRow = (rows: number, code: string): string => `for (var r = 0; r < ${rows}; r++) { ${code} }`

/** `read` of chunk number `i` of this lane, zeros past the last of all. */
function ownChunk(lanes: number, chunks: number, read: (chunk: string) => string): string {
  if (chunks % lanes === 0) return read(`(lane + i * ${lanes})`)
  return `select(vec4f(), ${read(`min(lane + i * ${lanes}, ${chunks - 1})`)}, lane + i * ${lanes} < ${chunks})`
}

/** Which rows and which split are this workgroup's: the keys that any of its rows sees, divided among the splits. */
function findSplit({ rows, lanes, counted, keys }: Plan): string {
  return `let index = i32(localIndex);
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

  let validKeys = validKeysOf(batch);
  let shift = positionOf(0, validKeys);
  let lastRow = min(firstRow + ${rows}, rowCount) - 1;
  let first = firstKey(shift + firstRow / parameters.group, validKeys);
  let end = endKey(shift + lastRow / parameters.group, validKeys);
  let perSplit = (max(0, end - first) + splits * ${keys} - 1) / (splits * ${keys}) * ${keys};
  let start = first + split * perSplit;
  let stop = min(start + perSplit, end);`
}

/** The rows' queries, and which of the split's keys each of them sees. */
function loadRows({ problem, rows, lanes, queryChunks, ownQuery }: Plan): string {
  const scale = `parameters.scale${isPlain(problem) ? ' * log2e' : ''}`
  const ownQueryChunk = ownChunk(lanes, queryChunks, (chunk) => `queryVector(queryRow, ${chunk})`)
  return `var heads = array<i32, ${rows}>();
  var tokens = array<i32, ${rows}>();
  var firsts = array<i32, ${rows}>();
  var ends = array<i32, ${rows}>();
  var q = array<array<vec4f, ${ownQuery}>, ${rows}>();
  ${eachRow(
    rows,
    `
    let row = min(firstRow + r, lastRow);
    tokens[r] = row / parameters.group;
    heads[r] = keyHead * parameters.group + row - tokens[r] * parameters.group;
    firsts[r] = firstKey(shift + tokens[r], validKeys);
    ends[r] = select(0, min(endKey(shift + tokens[r], validKeys), stop), firstRow + r <= lastRow);
    let queryRow = queryBase(batch, heads[r], tokens[r]);
    for (var i = 0; i < ${ownQuery}; i++) { q[r][i] = ${ownQueryChunk} * (${scale}); }
  `,
  )}`
}

/** s = Σ over lanes of q · k, for each row. */
function scores({ rows, lanes, queryChunks, ownQuery }: Plan): string {
  return `let keyRow = keyBase(batch, keyHead, min(key, stop - 1));
    var s = array<f32, ${rows}>();
    for (var i = 0; i < ${ownQuery}; i++) {
      let k = ${ownChunk(lanes, queryChunks, (chunk) => `keyVector(keyRow, ${chunk})`)};
      ${eachRow(rows, 's[r] = addDot(q[r][i], k, s[r]);')}
    }
    s = sumOverLanes(s, index);`
}

/** From scores to weights, which take their place: `m` and `l` go on, and `seen` says whether any row sees the key. */
function softmax({ problem, rows, ownValue }: Plan): string {
  return `var seen = false;
    ${eachRow(
      rows,
      `
      let at = Pair(batch, heads[r], shift + tokens[r], key, tokens[r]);
      let visible = key >= firsts[r] && key < ends[r] && isVisible(at);
      let score = select(lowest, ${isPlain(problem) ? 's[r]' : 'finalScore(s[r], at) * log2e'}, visible);
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
    `,
    )}`
}

/** o += p · v, for each row. */
function weighValues({ rows, lanes, valueChunks, ownValue }: Plan): string {
  return `if (seen) {
      let valueRow = valueBase(batch, keyHead, key);
      for (var i = 0; i < ${ownValue}; i++) {
        let v = ${ownChunk(lanes, valueChunks, (chunk) => `valueVector(valueRow, ${chunk})`)};
        ${eachRow(rows, 'o[r][i] = fma(vec4f(s[r]), v, o[r][i]);')}
      }
    }`
}

/** The softmaxes of all slots as one, through workgroup memory: a few rows at a time, each merged by the lanes of one slot. */
function mergeSlots({ problem, rows, lanes, keys, valueChunks, ownValue, together }: Plan): string {
  return `if (lane == 0) { ${eachRow(rows, 'maxima[r][slot] = m[r]; sums[r][slot] = l[r];')} }
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
          lse[rowIndex(split * parameters.batch + batch, head, token)] = lseBits(largest, total);
        }
      }
      workgroupBarrier();
    }
  }`
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
