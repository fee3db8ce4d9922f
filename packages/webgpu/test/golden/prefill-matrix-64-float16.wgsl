enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
/* Subgroups take different matrices, all of their invocations together. */
diagnostic(off, chromium.subgroup_matrix_uniformity);
struct Parameters { firstGroup: i32, batch: i32, queryHeads: i32, keyHeads: i32, group: i32, scale: f32, queryLength: i32, keyLength: i32, left: i32, right: i32, lowerRight: i32, queryOffset: i32, queryStride0: i32, queryStride1: i32, queryStride2: i32, queryStride3: i32, keyOffset: i32, keyStride0: i32, keyStride1: i32, keyStride2: i32, keyStride3: i32, valueOffset: i32, valueStride0: i32, valueStride1: i32, valueStride2: i32, valueStride3: i32, sinksAt: i32, tiles: i32, packed: i32, planesAt: i32, runOffsetsAt: i32, runsAt: i32, outputOffset: i32, outputStride0: i32, outputStride1: i32, outputStride2: i32, outputStride3: i32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> query: array<vec2u>;
@group(0) @binding(2) var<storage, read> key: array<vec2u>;
@group(0) @binding(3) var<storage, read> value: array<vec2u>;
@group(0) @binding(4) var<storage, read> context: array<u32>;
@group(0) @binding(5) var<storage, read_write> output: array<vec2u>;
@group(0) @binding(6) var<storage, read_write> lse: array<u32>;
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
fn sinkOf(head: i32) -> f32 {
  let bits = context[parameters.sinksAt + head];
  return select(bitcast<f32>(bits) * log2e, lowest, bits == 0xff800000u);
}

fn finalScore(scaled: f32, at: Pair) -> f32 {
  var score = scaled;

  return score;
}
fn packHalves(x: vec2f) -> u32 { return pack2x16float(clamp(x, vec2f(-65504), vec2f(65504))); }
fn outputStore(base: i32, chunk: i32, x: vec4f) { output[(base >> 2) + chunk] = vec2u(packHalves(x.xy), packHalves(x.zw)); }
fn outputBase(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.outputOffset + batch * parameters.outputStride0 + head * parameters.outputStride1 + row * parameters.outputStride2;
}
fn lseBits(m: f32, l: f32) -> u32 {
  if (l == 0.0) { return 0xff800000u; }
  return bitcast<u32>(fma(m, ln2, log(l)));
}
/* perRow: what an index among packed rows is multiplied by to be a token. */
struct Tile {
  index: i32,
  batch: i32,
  keyHead: i32,
  firstHead: i32,
  firstRow: i32,
  rowCount: i32,
  validKeys: i32,
  shift: i32,
  perRow: f32,
}
struct Row { token: i32, head: i32 }
fn tileOf(group: i32) -> Tile {
  let plane = group / parameters.tiles;
  let planes = parameters.queryHeads / parameters.packed;
  var tile: Tile;
  tile.index = parameters.tiles - 1 - group % parameters.tiles;
  tile.batch = plane / planes;
  tile.firstHead = plane % planes * parameters.packed;
  tile.keyHead = tile.firstHead / parameters.group;
  tile.firstRow = tile.index * 32;
  tile.rowCount = min(32, parameters.queryLength * parameters.packed - tile.firstRow);
  tile.validKeys = validKeysOf(tile.batch);
  tile.shift = positionOf(0, tile.validKeys);
  tile.perRow = 1.0 / f32(parameters.packed);
  return tile;
}
fn rowOf(tile: Tile, row: i32) -> Row {
  let index = tile.firstRow + row;
  let token = select(index, i32((f32(index) + 0.5) * tile.perRow), parameters.packed > 1);
  return Row(token, tile.firstHead + index - token * parameters.packed);
}
fn finite(x: vec4f) -> vec4f {
  return select(vec4f(), x, (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u));
}
alias Number = f16;
alias Left = subgroup_matrix_left<Number, 16, 16>;
alias Right = subgroup_matrix_right<Number, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;
fn number(x: f32) -> Number { return Number(x); }
var<workgroup> queries: array<Number, 2048>;
/* Keys, then the values. */
var<workgroup> vectors: array<Number, 2048>;
var<workgroup> scores: array<f32, 1024>;
var<workgroup> weights: array<Number, 2048>;
var<workgroup> factors: array<f32, 32>;
var<workgroup> risen: u32;
fn queryOf(tile: Tile, row: i32) -> i32 {
  let own = rowOf(tile, min(row, tile.rowCount - 1));
  return queryBase(tile.batch, own.head, own.token);
}
fn valueAt(tile: Tile, key: i32, chunk: i32, hides: bool) -> vec4f {
  let x = valueVector(valueBase(tile.batch, tile.keyHead, min(key, tile.validKeys - 1)), chunk);
  if (!hides) { return x; }
  return finite(x);
}

@compute @workgroup_size(128)
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
  let subgroups = 128 / subgroupSize;

  /* Of the tile's rows, the one that this invocation and its neighbours mask and exponentiate. */
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);
  let ownRow = lane / 4;
  let own = rowOf(tile, min(ownRow, tile.rowCount - 1));
  let position = tile.shift + own.token;
  let first = firstKey(position, tile.validKeys);
  let end = endKey(position, tile.validKeys);

  for (var e = lane; e < 512; e += 128) {
      let row = e / 16;
      let chunk = e % 16;
      let x = queryVector(queryOf(tile, row), chunk);
      for (var c = 0; c < 4; c++) { queries[4 * e + c] = number(x[c]); }
    }
  var m = lowest;
  var l = 0.0;
  var o0: Result; var o1: Result; var o2: Result; var o3: Result;
  let firstPosition = tile.shift + tile.firstRow / parameters.packed;
  let lastPosition = tile.shift + (tile.firstRow + tile.rowCount - 1) / parameters.packed;
  let stopKey = endKey(lastPosition, tile.validKeys);
  let fullStart = firstKey(lastPosition, tile.validKeys);
  let fullEnd = endKey(firstPosition, tile.validKeys);
  for (var tileKey = firstKey(firstPosition, tile.validKeys) / 32 * 32; tileKey < stopKey; tileKey += 32) {
    let masked = tileKey < fullStart || tileKey + 32 > fullEnd;

    let hides = masked;
    workgroupBarrier();
    for (var e = lane; e < 512; e += 128) {
      let row = e / 16;
      let chunk = e % 16;
      let x = keyVector(keyBase(tile.batch, tile.keyHead, min(tileKey + row, tile.validKeys - 1)), chunk);
      for (var c = 0; c < 4; c++) { vectors[4 * e + c] = number(x[c]); }
    }
    workgroupBarrier();
    for (var task = subgroup; task < 4; task += subgroups) {
      let row = task / 2 * 16;
      let key = task % 2 * 16;
      var s = Result();
      for (var c = 0; c < 64; c += 16) {
        let q = subgroupMatrixLoad<Left>(&queries, u32(row * 64 + c), false, 64u);
        let keysByColumn = subgroupMatrixLoad<Right>(&vectors, u32(key * 64 + c), true, 64u);
        s = subgroupMatrixMultiplyAccumulate(q, keysByColumn, s);
      }
      subgroupMatrixStore(&scores, u32(row * 32 + key), s, false, 32u);
    }
    workgroupBarrier();
    var s: array<f32, 8>;
    var t = lowest;
    for (var j = 0; j < 8; j++) {
      let key = lane % 4 + 4 * j;
      let at = Pair(tile.batch, own.head, position, tileKey + key, own.token);
      let place = ownRow * 32 + key;
      let visible = !hides || (at.key >= first && at.key < end && isVisible(at));
      s[j] = select(lowest, finalScore(scores[place] * parameters.scale, at) * log2e, visible);
      t = max(t, s[j]);
    }
    t = max(t, subgroupShuffleXor(t, 1u)); t = max(t, subgroupShuffleXor(t, 2u));
    var rescale = 1.0;
    if (t > m + 8.0) {
      rescale = exp2(m - t);
      m = t;
      l *= rescale;
      risen = 1u;
    }
    factors[ownRow] = rescale;
    for (var j = 0; j < 8; j++) {
      let key = lane % 4 + 4 * j;
      let at = Pair(tile.batch, own.head, position, tileKey + key, own.token);
      let place = ownRow * 32 + key;
      var p = exp2(s[j] - select(m, 0.0, m == lowest));
      l += p;

      weights[place] = number(p); p -= f32(weights[place]);
      weights[1024 + place] = number(p);
    }
    for (var e = lane; e < 512; e += 128) {
      let row = e / 16;
      let chunk = e % 16;
      let x = valueAt(tile, tileKey + row, chunk, hides);
      for (var c = 0; c < 4; c++) { vectors[4 * e + c] = number(x[c]); }
    }
    let someRose = workgroupUniformLoad(&risen) != 0u;
    if (someRose) {
      if (lane == 0) { risen = 0u; }
      { let task = subgroup + 0 * subgroups;
      if (task < 8) { subgroupMatrixStore(&scores, u32(subgroup * 256), o0, false, 16u); }
      workgroupBarrier();
      if (task < 8) {
        for (var e = 4 * subgroupLane; e < 256; e += 4 * subgroupSize) {
          let row = task / 4 * 16 + e / 16;
          let place = subgroup * 256 + e;
          for (var c = 0; c < 4; c++) { scores[place + c] *= factors[row]; }
        }
      }
      workgroupBarrier();
      if (task < 8) { o0 = subgroupMatrixLoad<Result>(&scores, u32(subgroup * 256), false, 16u); }
      workgroupBarrier(); }
    { let task = subgroup + 1 * subgroups;
      if (task < 8) { subgroupMatrixStore(&scores, u32(subgroup * 256), o1, false, 16u); }
      workgroupBarrier();
      if (task < 8) {
        for (var e = 4 * subgroupLane; e < 256; e += 4 * subgroupSize) {
          let row = task / 4 * 16 + e / 16;
          let place = subgroup * 256 + e;
          for (var c = 0; c < 4; c++) { scores[place + c] *= factors[row]; }
        }
      }
      workgroupBarrier();
      if (task < 8) { o1 = subgroupMatrixLoad<Result>(&scores, u32(subgroup * 256), false, 16u); }
      workgroupBarrier(); }
    { let task = subgroup + 2 * subgroups;
      if (task < 8) { subgroupMatrixStore(&scores, u32(subgroup * 256), o2, false, 16u); }
      workgroupBarrier();
      if (task < 8) {
        for (var e = 4 * subgroupLane; e < 256; e += 4 * subgroupSize) {
          let row = task / 4 * 16 + e / 16;
          let place = subgroup * 256 + e;
          for (var c = 0; c < 4; c++) { scores[place + c] *= factors[row]; }
        }
      }
      workgroupBarrier();
      if (task < 8) { o2 = subgroupMatrixLoad<Result>(&scores, u32(subgroup * 256), false, 16u); }
      workgroupBarrier(); }
    { let task = subgroup + 3 * subgroups;
      if (task < 8) { subgroupMatrixStore(&scores, u32(subgroup * 256), o3, false, 16u); }
      workgroupBarrier();
      if (task < 8) {
        for (var e = 4 * subgroupLane; e < 256; e += 4 * subgroupSize) {
          let row = task / 4 * 16 + e / 16;
          let place = subgroup * 256 + e;
          for (var c = 0; c < 4; c++) { scores[place + c] *= factors[row]; }
        }
      }
      workgroupBarrier();
      if (task < 8) { o3 = subgroupMatrixLoad<Result>(&scores, u32(subgroup * 256), false, 16u); }
      workgroupBarrier(); }
    }
    { let task = subgroup + 0 * subgroups;
      if (task < 8) {
        let row = task / 4 * 16;
        let band = task % 4 * 16;
        for (var key = 0; key < 32; key += 16) {
          let v = subgroupMatrixLoad<Right>(&vectors, u32(key * 64 + band), false, 64u);
          o0 = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(row * 32 + key), false, 32u), v, o0);
          o0 = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(1024 + row * 32 + key), false, 32u), v, o0);
        }
      } }
    { let task = subgroup + 1 * subgroups;
      if (task < 8) {
        let row = task / 4 * 16;
        let band = task % 4 * 16;
        for (var key = 0; key < 32; key += 16) {
          let v = subgroupMatrixLoad<Right>(&vectors, u32(key * 64 + band), false, 64u);
          o1 = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(row * 32 + key), false, 32u), v, o1);
          o1 = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(1024 + row * 32 + key), false, 32u), v, o1);
        }
      } }
    { let task = subgroup + 2 * subgroups;
      if (task < 8) {
        let row = task / 4 * 16;
        let band = task % 4 * 16;
        for (var key = 0; key < 32; key += 16) {
          let v = subgroupMatrixLoad<Right>(&vectors, u32(key * 64 + band), false, 64u);
          o2 = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(row * 32 + key), false, 32u), v, o2);
          o2 = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(1024 + row * 32 + key), false, 32u), v, o2);
        }
      } }
    { let task = subgroup + 3 * subgroups;
      if (task < 8) {
        let row = task / 4 * 16;
        let band = task % 4 * 16;
        for (var key = 0; key < 32; key += 16) {
          let v = subgroupMatrixLoad<Right>(&vectors, u32(key * 64 + band), false, 64u);
          o3 = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(row * 32 + key), false, 32u), v, o3);
          o3 = subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<Left>(&weights, u32(1024 + row * 32 + key), false, 32u), v, o3);
        }
      } }

  }
  l = l + subgroupShuffleXor(l, 1u); l = l + subgroupShuffleXor(l, 2u);
  var reference = m;
    var total = l;
    var factor = 1.0;
    let sink = sinkOf(own.head);
    reference = max(reference, sink);
    factor = exp2(m - reference);
    total = total * factor + select(0.0, exp2(sink - reference), sink > lowest);
    factor /= select(total, 1.0, total == 0.0);
  workgroupBarrier();
  factors[ownRow] = factor;
  if (lane % 4 == 0 && ownRow < tile.rowCount) { lse[rowIndex(tile.batch, own.head, own.token)] = lseBits(reference, total); }
  { let task = subgroup + 0 * subgroups;
      if (task < 8) { subgroupMatrixStore(&scores, u32(subgroup * 256), o0, false, 16u); }
      workgroupBarrier();
      if (task < 8) {
        for (var e = 4 * subgroupLane; e < 256; e += 4 * subgroupSize) {
          let row = task / 4 * 16 + e / 16;
          let place = subgroup * 256 + e;
          if (row < tile.rowCount) {
            let token = rowOf(tile, row);
            let chunk = (task % 4 * 16 + e % 16) >> 2u;
            let x = vec4f(scores[place], scores[place + 1], scores[place + 2], scores[place + 3]);
            outputStore(outputBase(tile.batch, token.head, token.token), chunk, x * factors[row]);
          }
        }
      }
      workgroupBarrier(); }
    { let task = subgroup + 1 * subgroups;
      if (task < 8) { subgroupMatrixStore(&scores, u32(subgroup * 256), o1, false, 16u); }
      workgroupBarrier();
      if (task < 8) {
        for (var e = 4 * subgroupLane; e < 256; e += 4 * subgroupSize) {
          let row = task / 4 * 16 + e / 16;
          let place = subgroup * 256 + e;
          if (row < tile.rowCount) {
            let token = rowOf(tile, row);
            let chunk = (task % 4 * 16 + e % 16) >> 2u;
            let x = vec4f(scores[place], scores[place + 1], scores[place + 2], scores[place + 3]);
            outputStore(outputBase(tile.batch, token.head, token.token), chunk, x * factors[row]);
          }
        }
      }
      workgroupBarrier(); }
    { let task = subgroup + 2 * subgroups;
      if (task < 8) { subgroupMatrixStore(&scores, u32(subgroup * 256), o2, false, 16u); }
      workgroupBarrier();
      if (task < 8) {
        for (var e = 4 * subgroupLane; e < 256; e += 4 * subgroupSize) {
          let row = task / 4 * 16 + e / 16;
          let place = subgroup * 256 + e;
          if (row < tile.rowCount) {
            let token = rowOf(tile, row);
            let chunk = (task % 4 * 16 + e % 16) >> 2u;
            let x = vec4f(scores[place], scores[place + 1], scores[place + 2], scores[place + 3]);
            outputStore(outputBase(tile.batch, token.head, token.token), chunk, x * factors[row]);
          }
        }
      }
      workgroupBarrier(); }
    { let task = subgroup + 3 * subgroups;
      if (task < 8) { subgroupMatrixStore(&scores, u32(subgroup * 256), o3, false, 16u); }
      workgroupBarrier();
      if (task < 8) {
        for (var e = 4 * subgroupLane; e < 256; e += 4 * subgroupSize) {
          let row = task / 4 * 16 + e / 16;
          let place = subgroup * 256 + e;
          if (row < tile.rowCount) {
            let token = rowOf(tile, row);
            let chunk = (task % 4 * 16 + e % 16) >> 2u;
            let x = vec4f(scores[place], scores[place + 1], scores[place + 2], scores[place + 3]);
            outputStore(outputBase(tile.batch, token.head, token.token), chunk, x * factors[row]);
          }
        }
      }
      workgroupBarrier(); }
}
