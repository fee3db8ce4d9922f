struct Parameters { firstGroup: i32, batch: i32, queryHeads: i32, keyHeads: i32, group: i32, scale: f32, queryLength: i32, keyLength: i32, left: i32, right: i32, lowerRight: i32, queryOffset: i32, queryStride0: i32, queryStride1: i32, queryStride2: i32, queryStride3: i32, keyOffset: i32, keyStride0: i32, keyStride1: i32, keyStride2: i32, keyStride3: i32, valueOffset: i32, valueStride0: i32, valueStride1: i32, valueStride2: i32, valueStride3: i32, splits: i32, outputSplitStride: i32, outputOffset: i32, outputStride0: i32, outputStride1: i32, outputStride2: i32, outputStride3: i32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> query: array<vec4f>;
@group(0) @binding(2) var<storage, read> key: array<vec4f>;
@group(0) @binding(3) var<storage, read> value: array<vec4f>;
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

fn floorDivide(a: i32, b: i32) -> i32 {
  let q = a / b;
  return select(q, q - 1, (a % b != 0) && ((a < 0) != (b < 0)));
}
fn floorModulo(a: i32, b: i32) -> i32 { return a - b * floorDivide(a, b); }
fn floorModuloFloat(a: f32, b: f32) -> f32 { return a - b * floor(a / b); }

fn changeScore(at: Pair, score: f32) -> f32 {
  let e0 = (at.query - at.key);
  let e1 = abs(e0);
  let e2 = f32(e1);
  let e3 = (e2 * f32(0.10000000149011612));
  let e4 = (score - e3);
  return e4;
}
fn mayAttend(at: Pair, score: f32) -> bool {
  let e0 = (at.key <= at.query);
  let e1 = (at.key < i32(4));
  let e2 = (e0 || e1);
  return e2;
}
fn queryVector(base: i32, chunk: i32) -> vec4f { return query[(base >> 2) + chunk]; }
fn keyVector(base: i32, chunk: i32) -> vec4f { return key[(base >> 2) + chunk]; }
fn keyBase(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.keyOffset + batch * parameters.keyStride0 + head * parameters.keyStride1 + row * parameters.keyStride2;
}
alias KeyRow = i32;
fn keyStep() -> i32 { return parameters.keyStride2; }
fn valueVector(base: i32, chunk: i32) -> vec4f { return value[(base >> 2) + chunk]; }
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

  return mayAttend(at, 0.0);
}

fn finalScore(scaled: f32, at: Pair) -> f32 {
  var score = scaled;

  score = changeScore(at, score);
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

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (i32(groupId.x) + parameters.firstGroup) * 64 + i32(lane);
  let rows = parameters.batch * parameters.queryHeads * parameters.queryLength;
  if (index >= rows * parameters.splits) { return; }
  let split = index / rows;
  let row = index % parameters.queryLength;
  let plane = (index % rows) / parameters.queryLength;
  let batch = plane / parameters.queryHeads;
  let head = plane % parameters.queryHeads;
  let keyHead = head / parameters.group;

  var q: array<vec4f, 16>;
  let queryRow = queryBase(batch, head, row);
  for (var c = 0; c < 16; c++) { q[c] = queryVector(queryRow, c) * parameters.scale; }

  let validKeys = validKeysOf(batch);
  let position = positionOf(row, validKeys);
  let firstOfAll = firstKey(position, validKeys);
  let endOfAll = endKey(position, validKeys);
  let perSplit = (max(0, endOfAll - firstOfAll) + parameters.splits - 1) / parameters.splits;
  let first = firstOfAll + split * perSplit;
  let end = min(first + perSplit, endOfAll);

  var m = lowest;
  var l = 0.0;
  var o: array<vec4f, 16>;

  for (var key = first; key < end; key++) {
    let at = Pair(batch, head, position, key, row);
    if (!isVisible(at)) { continue; }
    let keyRow = keyBase(batch, keyHead, key);
    var dots = vec4f();
    for (var c = 0; c < 16; c++) { dots = fma(q[c], keyVector(keyRow, c), dots); }
    let scaled = (dots.x + dots.y) + (dots.z + dots.w);
    let s = finalScore(scaled, at) * log2e;
    if (s <= lowest) { continue; }
    if (s > m) {
      let rescale = exp2(m - s);
      l *= rescale;
      for (var c = 0; c < 16; c++) { o[c] *= rescale; }
      m = s;
    }
    let p = exp2(s - m);
    l += p;
    let weight = p;
    let valueRow = valueBase(batch, keyHead, key);
    for (var c = 0; c < 16; c++) { o[c] = fma(vec4f(weight), valueVector(valueRow, c), o[c]); }
  }

  let total = select(l, 1.0, l == 0.0);
  let outputRow = outputBase(batch, head, row) + split * parameters.outputSplitStride;
  for (var c = 0; c < 16; c++) { outputStore(outputRow, c, o[c] / total); }
  lse[index] = lseBits(m, l);
}
