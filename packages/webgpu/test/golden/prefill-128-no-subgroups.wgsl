struct Parameters { firstGroup: i32, batch: i32, queryHeads: i32, keyHeads: i32, group: i32, scale: f32, queryLength: i32, keyLength: i32, left: i32, right: i32, lowerRight: i32, queryOffset: i32, queryStride0: i32, queryStride1: i32, queryStride2: i32, queryStride3: i32, keyOffset: i32, keyStride0: i32, keyStride1: i32, keyStride2: i32, keyStride3: i32, valueOffset: i32, valueStride0: i32, valueStride1: i32, valueStride2: i32, valueStride3: i32, tiles: i32, packed: i32, planesAt: i32, runOffsetsAt: i32, runsAt: i32, outputOffset: i32, outputStride0: i32, outputStride1: i32, outputStride2: i32, outputStride3: i32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> query: array<vec4f>;
@group(0) @binding(2) var<storage, read> key: array<vec4f>;
@group(0) @binding(3) var<storage, read> value: array<vec4f>;
@group(0) @binding(4) var<storage, read> context: array<u32>;
@group(0) @binding(5) var<storage, read_write> output: array<vec4f>;
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
var<workgroup> queryTile: array<array<array<vec4f, 32>, 8>, 4>;
var<workgroup> keyTile: array<array<array<vec4f, 64>, 8>, 2>;
alias Rows = array<f32, 8>;
fn rowMaximum(x: Rows, lane: i32) -> Rows {
  workgroupBarrier();
  for (var four = 0; four < 2; four++) {
    queryTile[(lane >> 5u)][four][(lane & 31)] = vec4f(x[4 * four], x[4 * four + 1], x[4 * four + 2], x[4 * four + 3]);
  }
  workgroupBarrier();
  var y = x;
  let first = (lane >> 4u) * 16;
  for (var i = first; i < first + 16; i++) {
    for (var four = 0; four < 2; four++) {
      let other = queryTile[(i >> 5u)][four][(i & 31)];
      for (var j = 0; j < 4; j++) { y[4 * four + j] = max(y[4 * four + j], other[j]); }
    }
  }
  workgroupBarrier();
  return y;
}
fn rowSum(x: Rows, lane: i32) -> Rows {
  workgroupBarrier();
  for (var four = 0; four < 2; four++) {
    queryTile[(lane >> 5u)][four][(lane & 31)] = vec4f(x[4 * four], x[4 * four + 1], x[4 * four + 2], x[4 * four + 3]);
  }
  workgroupBarrier();
  var y = Rows();
  let first = (lane >> 4u) * 16;
  for (var i = first; i < first + 16; i++) {
    for (var four = 0; four < 2; four++) {
      let other = queryTile[(i >> 5u)][four][(i & 31)];
      for (var j = 0; j < 4; j++) { y[4 * four + j] = y[4 * four + j] + other[j]; }
    }
  }
  workgroupBarrier();
  return y;
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
  tile.firstRow = tile.index * 64;
  tile.rowCount = min(64, parameters.queryLength * parameters.packed - tile.firstRow);
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
fn queryAt(row: i32, chunk: i32) -> vec4f { return queryVector(row, chunk) * (parameters.scale * log2e); }
fn keyAt(row: KeyRow, chunk: i32) -> vec4f { return keyVector(row, chunk); }
fn valueAt(row: ValueRow, chunk: i32) -> vec4f { return valueVector(row, chunk); }
/* Of a row that has seen no key: more than the lowest score by so much that 2^(lowest − unseen) is 0. */
const unseen = -1.69e38;

fn addDot(a: vec4f, b: vec4f, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }
fn finite(x: vec4f) -> vec4f {
  return select(vec4f(), x, (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u));
}
fn largest(x: vec4f) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = (lane & 15);
  let rowGroup = (lane >> 4u);
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);
  var stagedQuery: array<i32, 2>;
  for (var i = 0; i < 2; i++) {
    let part = i * 4 + (lane >> 5u);
    let own = rowOf(tile, min(part * 8 + ((lane >> 2u) & 7), tile.rowCount - 1));
    stagedQuery[i] = queryBase(tile.batch, own.head, own.token);
  }
  let stagedKey = keyBase(tile.batch, tile.keyHead, 4 * ((lane >> 2u) & 15) + (lane >> 6u));
  let stagedValue = valueBase(tile.batch, tile.keyHead, 4 * ((lane >> 4u) & 3) + (lane >> 6u));

  var m: Rows;
  var l: Rows;
  var o: array<array<vec4f, 8>, 2>;
  for (var r = 0; r < 8; r++) { m[r] = unseen; }

  let plane = i32(context[parameters.planesAt + tile.batch * parameters.queryHeads + tile.firstHead]);
  let mapRow = plane * parameters.tiles + tile.index;
  let runEnd = i32(context[parameters.runOffsetsAt + mapRow + 1]);
  for (var run = i32(context[parameters.runOffsetsAt + mapRow]); run < runEnd; run++) {
    let partial = context[parameters.runsAt + 3 * run + 2] == 0u;
    let stopKey = i32(context[parameters.runsAt + 3 * run + 1]) * 128;
    for (var tileKey = i32(context[parameters.runsAt + 3 * run]) * 128; tileKey < stopKey; tileKey += 128) {
      let masked = partial || tileKey + 128 > tile.validKeys;

    let firstOwnKey = tileKey + column * 4;
    var s = array<array<vec4f, 2>, 8>();
    for (var first = 0; first < 32; first += 8) {
    workgroupBarrier();
    {
      let group = ((lane >> 2u) & 7);
      let at = (group ^ ((lane & 3) * 10));
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 2; i++) {
          let part = (i * 4) + (lane >> 5u);
          queryTile[slot][part][at] = queryAt(stagedQuery[i], first + 4 * slot + (lane & 3));
        }
      }
    }
    {
      let group = ((lane >> 2u) & 15);
      let at = (group ^ ((lane & 3) * 18));
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 4; i++) {
          let part = (i * 2) + (lane >> 6u);
          keyTile[slot][part][at] = keyAt(stagedKey + (tileKey + (((i * 2) >> 2u) * 64) + ((i * 2) & 3)) * keyStep(), first + 4 * slot + (lane & 3));
        }
      }
    }
    workgroupBarrier();
    for (var c = 0; c < 4; c++) {
      let aAt = (rowGroup ^ (c * 10));
      let bAt = (column ^ (c * 18));
      for (var slot = 0; slot < 2; slot++) {
        var b: array<vec4f, 8>;
        for (var j = 0; j < 8; j++) { b[j] = keyTile[slot][j][bAt]; }
        for (var r = 0; r < 8; r++) {
          let a = queryTile[slot][r][aAt];
          s[r][0] = vec4f(addDot(a, b[0], s[r][0][0]), addDot(a, b[1], s[r][0][1]), addDot(a, b[2], s[r][0][2]), addDot(a, b[3], s[r][0][3]));
          s[r][1] = vec4f(addDot(a, b[4], s[r][1][0]), addDot(a, b[5], s[r][1][1]), addDot(a, b[6], s[r][1][2]), addDot(a, b[7], s[r][1][3]));
        }
      }
    }
    }
    if (masked) {
      for (var r = 0; r < 8; r++) {
        let own = rowOf(tile, min(rowGroup + r * 8, tile.rowCount - 1));
        let position = tile.shift + own.token;
        let first = firstKey(position, tile.validKeys);
        let end = endKey(position, tile.validKeys);
        for (var j = 0; j < 8; j++) {
          let at = Pair(tile.batch, own.head, position, firstOwnKey + (j >> 2u) * 64 + (j & 3), own.token);
          let visible = (at.key >= first && at.key < end && isVisible(at));
          let score = s[r][j >> 2u][j & 3];
          s[r][j >> 2u][j & 3] = select(lowest, score, visible);
        }
       }
    }
    var t: Rows;
    for (var r = 0; r < 8; r++) { t[r] = max(largest(s[r][0]), largest(s[r][1])); }
    t = rowMaximum(t, lane);
    var rose = false;
    for (var r = 0; r < 8; r++) { rose = rose || t[r] > m[r] + 8.0; }
    if (rose) {
      for (var r = 0; r < 8; r++) {
        let reference = max(m[r], t[r]);
        let rescale = exp2(m[r] - reference);
        m[r] = reference;
        l[r] *= rescale;
        for (var band = 0; band < 2; band++) { o[band][r] *= rescale; }
       }
    }
    for (var r = 0; r < 8; r++) {
      for (var quad = 0; quad < 2; quad++) {
        let p = exp2(s[r][quad] - m[r]);
        l[r] += (p.x + p.y) + (p.z + p.w);
        s[r][quad] = p;
      }
     }
    workgroupBarrier();
    for (var r = 0; r < 8; r++) { queryTile[column >> 2u][r][(rowGroup ^ ((column & 3) * 10))] = s[r][0]; }
    for (var filling = 0; filling < 2; filling++) {
      var staged: array<vec4f, 8>;
      for (var i = 0; i < 2; i++) {
        let k = (i * 2) + (lane >> 6u);
        staged[i] = valueAt(stagedValue + (tileKey + filling * 32 + (i * 2)) * valueStep(), (lane & 15));
        staged[i + 2] = valueAt(stagedValue + (tileKey + filling * 32 + (i * 2)) * valueStep(), 16 + (lane & 15));
        staged[i + 4] = valueAt(stagedValue + (tileKey + filling * 32 + 16 + (i * 2)) * valueStep(), (lane & 15));
        staged[i + 6] = valueAt(stagedValue + (tileKey + filling * 32 + 16 + (i * 2)) * valueStep(), 16 + (lane & 15));
      }
      if (masked) { for (var i = 0; i < 8; i++) { staged[i] = finite(staged[i]); } }
      workgroupBarrier();
      let at = (lane & 63);
      for (var i = 0; i < 2; i++) {
        let k = (i * 2) + (lane >> 6u);
        keyTile[0][k][at] = staged[i];
        keyTile[0][k + 4][at] = staged[i + 2];
        keyTile[1][k][at] = staged[i + 4];
        keyTile[1][k + 4][at] = staged[i + 6];
      }
      workgroupBarrier();
      for (var c = 0; c < 4; c++) {
        {
          var p: array<vec4f, 8>;
          for (var r = 0; r < 8; r++) { p[r] = queryTile[((filling & 1) * 2)][r][(rowGroup ^ (c * 10))]; }
          for (var k = 0; k < 4; k++) {
            let v0 = keyTile[0][k][c * 16 + column];
            for (var r = 0; r < 8; r++) { o[0][r] = fma(vec4f(p[r][k]), v0, o[0][r]); }
            let v1 = keyTile[0][k + 4][c * 16 + column];
            for (var r = 0; r < 8; r++) { o[1][r] = fma(vec4f(p[r][k]), v1, o[1][r]); }
          }
        }
        {
          var p: array<vec4f, 8>;
          for (var r = 0; r < 8; r++) { p[r] = queryTile[((filling & 1) * 2) + 1][r][(rowGroup ^ (c * 10))]; }
          for (var k = 0; k < 4; k++) {
            let v0 = keyTile[1][k][c * 16 + column];
            for (var r = 0; r < 8; r++) { o[0][r] = fma(vec4f(p[r][k]), v0, o[0][r]); }
            let v1 = keyTile[1][k + 4][c * 16 + column];
            for (var r = 0; r < 8; r++) { o[1][r] = fma(vec4f(p[r][k]), v1, o[1][r]); }
          }
        }
      }
    }
    workgroupBarrier();
    for (var r = 0; r < 8; r++) { queryTile[column >> 2u][r][(rowGroup ^ ((column & 3) * 10))] = s[r][1]; }
    for (var filling = 0; filling < 2; filling++) {
      var staged: array<vec4f, 8>;
      for (var i = 0; i < 2; i++) {
        let k = (i * 2) + (lane >> 6u);
        staged[i] = valueAt(stagedValue + (tileKey + 64 + filling * 32 + (i * 2)) * valueStep(), (lane & 15));
        staged[i + 2] = valueAt(stagedValue + (tileKey + 64 + filling * 32 + (i * 2)) * valueStep(), 16 + (lane & 15));
        staged[i + 4] = valueAt(stagedValue + (tileKey + 64 + filling * 32 + 16 + (i * 2)) * valueStep(), (lane & 15));
        staged[i + 6] = valueAt(stagedValue + (tileKey + 64 + filling * 32 + 16 + (i * 2)) * valueStep(), 16 + (lane & 15));
      }
      if (masked) { for (var i = 0; i < 8; i++) { staged[i] = finite(staged[i]); } }
      workgroupBarrier();
      let at = (lane & 63);
      for (var i = 0; i < 2; i++) {
        let k = (i * 2) + (lane >> 6u);
        keyTile[0][k][at] = staged[i];
        keyTile[0][k + 4][at] = staged[i + 2];
        keyTile[1][k][at] = staged[i + 4];
        keyTile[1][k + 4][at] = staged[i + 6];
      }
      workgroupBarrier();
      for (var c = 0; c < 4; c++) {
        {
          var p: array<vec4f, 8>;
          for (var r = 0; r < 8; r++) { p[r] = queryTile[((filling & 1) * 2)][r][(rowGroup ^ (c * 10))]; }
          for (var k = 0; k < 4; k++) {
            let v0 = keyTile[0][k][c * 16 + column];
            for (var r = 0; r < 8; r++) { o[0][r] = fma(vec4f(p[r][k]), v0, o[0][r]); }
            let v1 = keyTile[0][k + 4][c * 16 + column];
            for (var r = 0; r < 8; r++) { o[1][r] = fma(vec4f(p[r][k]), v1, o[1][r]); }
          }
        }
        {
          var p: array<vec4f, 8>;
          for (var r = 0; r < 8; r++) { p[r] = queryTile[((filling & 1) * 2) + 1][r][(rowGroup ^ (c * 10))]; }
          for (var k = 0; k < 4; k++) {
            let v0 = keyTile[1][k][c * 16 + column];
            for (var r = 0; r < 8; r++) { o[0][r] = fma(vec4f(p[r][k]), v0, o[0][r]); }
            let v1 = keyTile[1][k + 4][c * 16 + column];
            for (var r = 0; r < 8; r++) { o[1][r] = fma(vec4f(p[r][k]), v1, o[1][r]); }
          }
        }
      }
    }

    }
  }
  let sums = rowSum(l, lane);
  for (var r = 0; r < 8; r++) {
    let row = rowGroup + r * 8;
    if (row >= tile.rowCount) { continue; }
    let own = rowOf(tile, row);
    var reference = m[r];
    var total = sums[r];
    var factor = 1.0;

    factor /= select(total, 1.0, total == 0.0);
    let outputRow = outputBase(tile.batch, own.head, own.token);
    for (var band = 0; band < 2; band++) {
      let chunk = band * 16 + column;

      outputStore(outputRow, chunk, o[band][r] * factor);
    }
    if (column == 0) { lse[rowIndex(tile.batch, own.head, own.token)] = lseBits(reference, total); }
  }
}
