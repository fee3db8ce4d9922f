enable subgroups;
struct Parameters { firstGroup: i32, batch: i32, queryHeads: i32, keyHeads: i32, group: i32, scale: f32, queryLength: i32, keyLength: i32, left: i32, right: i32, lowerRight: i32, queryOffset: i32, queryStride0: i32, queryStride1: i32, queryStride2: i32, queryStride3: i32, keyOffset: i32, keyStride0: i32, keyStride1: i32, keyStride2: i32, keyStride3: i32, valueOffset: i32, valueStride0: i32, valueStride1: i32, valueStride2: i32, valueStride3: i32, splits: i32, outputSplitStride: i32, outputOffset: i32, outputStride0: i32, outputStride1: i32, outputStride2: i32, outputStride3: i32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> query: array<vec2u>;
@group(0) @binding(2) var<storage, read> key: array<vec2u>;
@group(0) @binding(3) var<storage, read> value: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> output: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> lse: array<u32>;
const log2e = 1.4426950408889634;
const ln2 = 0.6931471805599453;
/* Below every score, and its distance to any score is finite. */
const lowest = -1.7e38;
struct Pair { batch: i32, head: i32, query: i32, key: i32, row: i32 }

fn positionOf(row: i32, validKeys: i32) -> i32 {
  return row + parameters.lowerRight * (validKeys - parameters.queryLength);
}
fn firstKey(position: i32, validKeys: i32) -> i32 { return clamp(position - parameters.left, 0, validKeys); }
fn endKey(position: i32, validKeys: i32) -> i32 { return clamp(position + parameters.right + 1, 0, validKeys); }

fn queryVector(base: i32, chunk: i32) -> vec4f { let w = query[(base >> 2) + chunk]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn keyVector(base: i32, chunk: i32) -> vec4f { let w = key[(base >> 2) + chunk]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn keyBase(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.keyOffset + batch * parameters.keyStride0 + head * parameters.keyStride1 + row * parameters.keyStride2;
}
alias KeyRow = i32;
fn keyStep() -> i32 { return parameters.keyStride2; }
fn valueVector(base: i32, chunk: i32) -> vec4f { let w = value[(base >> 2) + chunk]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn valueBase(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.valueOffset + batch * parameters.valueStride0 + head * parameters.valueStride1 + row * parameters.valueStride2;
}
alias ValueRow = i32;
fn valueStep() -> i32 { return parameters.valueStride2; }
fn queryBase(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.queryOffset + batch * parameters.queryStride0 + head * parameters.queryStride1 + row * parameters.queryStride2;
}
fn rowIndex(batch: i32, head: i32, row: i32) -> i32 {
  return (batch * parameters.queryHeads + head) * parameters.queryLength + row;
}

fn validKeysOf(batch: i32) -> i32 { return parameters.keyLength; }
fn isVisible(at: Pair) -> bool {

  return true;
}

fn finalScore(scaled: f32, at: Pair) -> f32 {
  var score = scaled;

  return score;
}

fn outputStore(base: i32, chunk: i32, x: vec4f) { output[(base >> 2) + chunk] = x; }
fn outputBase(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.outputOffset + batch * parameters.outputStride0 + head * parameters.outputStride1 + row * parameters.outputStride2;
}
fn lseBits(m: f32, l: f32) -> u32 {
  if (l == 0.0) { return 0xff800000u; }
  return bitcast<u32>(fma(m, ln2, log(l)));
}
var<workgroup> maxima: array<array<f32, 16>, 4>;
var<workgroup> sums: array<array<f32, 16>, 4>;
var<workgroup> outputs: array<array<vec4f, 128>, 4>;
fn sumOverLanes(x: array<f32, 4>, index: i32) -> array<f32, 4> {
  var y = x;
  for (var r = 0; r < 4; r++) { y[r] += subgroupShuffleXor(y[r], 1u); y[r] += subgroupShuffleXor(y[r], 2u); y[r] += subgroupShuffleXor(y[r], 4u); }
  return y;
}

fn addDot(a: vec4f, b: vec4f, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let index = i32(localIndex);
  let lane = (index & 7);
  let slot = (index >> 3u);
  let rowCount = parameters.queryLength * parameters.group;
  let blocks = (rowCount + 3) / 4;
  let group = i32(groupId.x) + parameters.firstGroup;
  let splits = parameters.splits;
  let split = group % splits;
  let firstRow = group / splits % blocks * 4;
  let plane = group / (splits * blocks);

  let batch = plane / parameters.keyHeads;
  let keyHead = plane % parameters.keyHeads;

  let validKeys = validKeysOf(batch);
  let shift = positionOf(0, validKeys);
  let lastRow = min(firstRow + 4, rowCount) - 1;
  let first = firstKey(shift + firstRow / parameters.group, validKeys);
  let end = endKey(shift + lastRow / parameters.group, validKeys);
  let perSplit = (max(0, end - first) + splits * 16 - 1) / (splits * 16) * 16;
  let start = first + split * perSplit;
  let stop = min(start + perSplit, end);
  var heads = array<i32, 4>();
  var tokens = array<i32, 4>();
  var firsts = array<i32, 4>();
  var ends = array<i32, 4>();
  var q = array<array<vec4f, 4>, 4>();
  for (var r = 0; r < 4; r++) {
    let row = min(firstRow + r, lastRow);
    tokens[r] = row / parameters.group;
    heads[r] = keyHead * parameters.group + row - tokens[r] * parameters.group;
    firsts[r] = firstKey(shift + tokens[r], validKeys);
    ends[r] = select(0, min(endKey(shift + tokens[r], validKeys), stop), firstRow + r <= lastRow);
    let queryRow = queryBase(batch, heads[r], tokens[r]);
    for (var i = 0; i < 4; i++) { q[r][i] = queryVector(queryRow, (lane + i * 8)) * (parameters.scale * log2e); }
   }

  var m = array<f32, 4>();
  var l = array<f32, 4>();
  var o = array<array<vec4f, 4>, 4>();
  for (var r = 0; r < 4; r++) { m[r] = lowest; }
  for (var firstOfAll = start; firstOfAll < stop; firstOfAll += 16) {
    let key = firstOfAll + slot;
    let keyRow = keyBase(batch, keyHead, min(key, stop - 1));
    var s = array<f32, 4>();
    for (var i = 0; i < 4; i++) {
      let k = keyVector(keyRow, (lane + i * 8));
      for (var r = 0; r < 4; r++) { s[r] = addDot(q[r][i], k, s[r]); }
    }
    s = sumOverLanes(s, index);
    var seen = false;
    for (var r = 0; r < 4; r++) {
      let at = Pair(batch, heads[r], shift + tokens[r], key, tokens[r]);
      let visible = key >= firsts[r] && key < ends[r] && isVisible(at);
      let score = select(lowest, s[r], visible);
      s[r] = 0.0;
      if (score > lowest) {
        seen = true;
        if (score > m[r]) {
          let rescale = exp2(m[r] - score);
          l[r] *= rescale;
          for (var i = 0; i < 4; i++) { o[r][i] *= rescale; }
          m[r] = score;
        }
        let p = exp2(score - m[r]);
        l[r] += p;
        s[r] = p;
      }
     }
    if (seen) {
      let valueRow = valueBase(batch, keyHead, key);
      for (var i = 0; i < 4; i++) {
        let v = valueVector(valueRow, (lane + i * 8));
        for (var r = 0; r < 4; r++) { o[r][i] = fma(vec4f(s[r]), v, o[r][i]); }
      }
    }
  }
  if (lane == 0) { for (var r = 0; r < 4; r++) { maxima[r][slot] = m[r]; sums[r][slot] = l[r]; } }
  workgroupBarrier();
  for (var firstOfRows = 0; firstOfRows < 4; firstOfRows += 4) {
    for (var i = 0; i < 4; i++) {
      for (var r = 0; r < 4; r++) { outputs[r][index] = o[firstOfRows + r][i]; }
      workgroupBarrier();
      let r = firstOfRows + slot;
      let row = firstRow + r;
      if (slot < 4 && row <= lastRow) {
        let head = keyHead * parameters.group + row % parameters.group;
        let token = row / parameters.group;
        var largest = lowest;

        for (var other = 0; other < 16; other++) { largest = max(largest, maxima[r][other]); }
        var total = 0.0;
        var sum = vec4f();
        for (var other = 0; other < 16; other++) {
          let weight = exp2(maxima[r][other] - largest);
          total = fma(sums[r][other], weight, total);
          sum = fma(outputs[slot][other * 8 + lane], vec4f(weight), sum);
        }
        let c = lane + i * 8;
        if (c < 32) {
          let outputRow = outputBase(batch, head, token) + split * parameters.outputSplitStride;
          outputStore(outputRow, c, sum / select(total, 1.0, total == 0.0));
        }
        if (c == 0) {
          lse[rowIndex(split * parameters.batch + batch, head, token)] = lseBits(largest, total);
        }
      }
      workgroupBarrier();
    }
  }
}
