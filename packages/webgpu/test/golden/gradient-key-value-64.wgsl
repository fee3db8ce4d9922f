struct Parameters { firstGroup: i32, batch: i32, queryHeads: i32, keyHeads: i32, group: i32, scale: f32, queryLength: i32, keyLength: i32, left: i32, right: i32, lowerRight: i32, queryOffset: i32, queryStride0: i32, queryStride1: i32, queryStride2: i32, queryStride3: i32, keyOffset: i32, keyStride0: i32, keyStride1: i32, keyStride2: i32, keyStride3: i32, valueOffset: i32, valueStride0: i32, valueStride1: i32, valueStride2: i32, valueStride3: i32, dOutputOffset: i32, dOutputStride0: i32, dOutputStride1: i32, dOutputStride2: i32, dOutputStride3: i32, tiles: i32, dKeyOffset: i32, dValueOffset: i32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> query: array<vec4f>;
@group(0) @binding(2) var<storage, read> key: array<vec4f>;
@group(0) @binding(3) var<storage, read> value: array<vec4f>;
@group(0) @binding(4) var<storage, read> dOutput: array<vec4f>;
@group(0) @binding(5) var<storage, read> rowStatistics: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> gradients: array<vec4f>;
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
fn dOutputVector(base: i32, chunk: i32) -> vec4f { return dOutput[(base >> 2) + chunk]; }
fn dOutputBase(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.dOutputOffset + batch * parameters.dOutputStride0 + head * parameters.dOutputStride1 + row * parameters.dOutputStride2;
}

/* weight: p · f. changed, biased, scaled: gradients of the score after the expression, before it, and of scale · q·k. */
struct PairGradient { weight: f32, changed: f32, biased: f32, scaled: f32, score: f32 }
/* row: the row's lse in powers of two, and its δ. */
fn pairGradient(scaled: f32, dWeight: f32, row: vec2f, at: Pair) -> PairGradient {
  var score = scaled;
  var g: PairGradient;

  g.score = score;
  let changed = score;
  let p = exp2(min(fma(changed, log2e, -row.x), 0.0)); /* No weight exceeds 1, however large the scores. */

  g.weight = p;
  g.changed = p * (dWeight - row.y);
  g.biased = g.changed;
  g.scaled = g.biased;
  return g;
}
fn isSeen(at: Pair) -> bool { return isVisible(at); }
var<workgroup> rowTile: array<array<array<vec4f, 32>, 8>, 2>;
var<workgroup> columnTile: array<array<array<vec4f, 32>, 8>, 2>;
var<workgroup> weightTile: array<array<array<vec4f, 32>, 8>, 2>;
fn queryAt(batch: i32, head: i32, row: i32, chunk: i32) -> vec4f { return queryVector(queryBase(batch, head, row), chunk) * parameters.scale; }
fn dOutputAt(batch: i32, head: i32, row: i32, chunk: i32) -> vec4f { return dOutputVector(dOutputBase(batch, head, row), chunk); }
fn keyAt(batch: i32, head: i32, row: i32, chunk: i32) -> vec4f { return keyVector(keyBase(batch, head, row), chunk); }
fn valueAt(batch: i32, head: i32, row: i32, chunk: i32) -> vec4f { return valueVector(valueBase(batch, head, row), chunk); }

fn addDot(a: vec4f, b: vec4f, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }
fn finite(x: vec4f) -> vec4f {
  return select(vec4f(), x, (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u));
}
fn store(base: i32, chunk: i32, dim: i32, x: vec4f) { if (4 * chunk < dim) { gradients[(base >> 2) + chunk] = x; } }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = (lane & 7);
  let rowGroup = (lane >> 3u);
  let plane = (i32(groupId.x) + parameters.firstGroup) / parameters.tiles;
  let firstOwn = (i32(groupId.x) + parameters.firstGroup) % parameters.tiles * 32;
  let batch = plane / parameters.keyHeads;
  let keyHead = plane % parameters.keyHeads;
  let validKeys = validKeysOf(batch);
  let shift = positionOf(0, validKeys);
  let firstRow = clamp(firstOwn - parameters.right - shift, 0, parameters.queryLength);
  let endRow = select(0, clamp(firstOwn + 32 + parameters.left - shift, 0, parameters.queryLength), firstOwn < validKeys);

  var dk = array<array<vec4f, 4>, 2>();
  var dv = array<array<vec4f, 4>, 2>();
  for (var member = 0; member < parameters.group; member++) {
  let head = keyHead * parameters.group + member;
  for (var tileRow = firstRow; tileRow < endRow; tileRow += 32) {
    var s = array<vec4f, 4>();
    var d = array<vec4f, 4>();
    for (var first = 0; first < 16; first += 8) {
    workgroupBarrier();
    {
      let group = ((lane >> 2u) & 7);
      let at = (group ^ ((lane & 3) * 10));
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 4; i++) {
          let part = (i * 2) + (lane >> 5u);
          rowTile[slot][part][at] = keyAt(batch, keyHead, min(firstOwn + part * 8 + group, validKeys - 1), first + 4 * slot + (lane & 3));
        }
      }
    }
    {
      let group = ((lane >> 2u) & 7);
      let at = (group ^ ((lane & 3) * 10));
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 4; i++) {
          let part = (i * 2) + (lane >> 5u);
          columnTile[slot][part][at] = queryAt(batch, head, min(tileRow + 4 * group + part, parameters.queryLength - 1), first + 4 * slot + (lane & 3));
        }
      }
    }
    workgroupBarrier();
    for (var c = 0; c < 4; c++) {
      let aAt = (rowGroup ^ (c * 10));
      let bAt = (column ^ (c * 10));
      for (var slot = 0; slot < 2; slot++) {
        var b: array<vec4f, 8>;
        for (var j = 0; j < 8; j++) { b[j] = columnTile[slot][j][bAt]; }
        for (var r = 0; r < 8; r++) {
          let a = rowTile[slot][r][aAt];
          s[r] = vec4f(addDot(a, b[0], s[r][0]), addDot(a, b[1], s[r][1]), addDot(a, b[2], s[r][2]), addDot(a, b[3], s[r][3]));
          s[r] = vec4f(addDot(a, b[4], s[r][0]), addDot(a, b[5], s[r][1]), addDot(a, b[6], s[r][2]), addDot(a, b[7], s[r][3]));
        }
      }
    }
    }
    for (var first = 0; first < 16; first += 8) {
    workgroupBarrier();
    {
      let group = ((lane >> 2u) & 7);
      let at = (group ^ ((lane & 3) * 10));
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 4; i++) {
          let part = (i * 2) + (lane >> 5u);
          rowTile[slot][part][at] = valueAt(batch, keyHead, min(firstOwn + part * 8 + group, validKeys - 1), first + 4 * slot + (lane & 3));
        }
      }
    }
    {
      let group = ((lane >> 2u) & 7);
      let at = (group ^ ((lane & 3) * 10));
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 4; i++) {
          let part = (i * 2) + (lane >> 5u);
          columnTile[slot][part][at] = dOutputAt(batch, head, min(tileRow + 4 * group + part, parameters.queryLength - 1), first + 4 * slot + (lane & 3));
        }
      }
    }
    workgroupBarrier();
    for (var c = 0; c < 4; c++) {
      let aAt = (rowGroup ^ (c * 10));
      let bAt = (column ^ (c * 10));
      for (var slot = 0; slot < 2; slot++) {
        var b: array<vec4f, 8>;
        for (var j = 0; j < 8; j++) { b[j] = columnTile[slot][j][bAt]; }
        for (var r = 0; r < 8; r++) {
          let a = rowTile[slot][r][aAt];
          d[r] = vec4f(addDot(a, b[0], d[r][0]), addDot(a, b[1], d[r][1]), addDot(a, b[2], d[r][2]), addDot(a, b[3], d[r][3]));
          d[r] = vec4f(addDot(a, b[4], d[r][0]), addDot(a, b[5], d[r][1]), addDot(a, b[6], d[r][2]), addDot(a, b[7], d[r][3]));
        }
      }
    }
    }
    let full = tileRow + 32 <= parameters.queryLength && firstOwn + 32 <= validKeys
      && firstKey(shift + tileRow + 31, validKeys) <= firstOwn
      && endKey(shift + tileRow, validKeys) >= firstOwn + 32;
    let masked = !full;
    var statistics: array<vec2f, 4>;
    for (var j = 0; j < 4; j++) {
      statistics[j] = rowStatistics[rowIndex(batch, head, min(tileRow + 4 * column + j, parameters.queryLength - 1))];
    }
    for (var r = 0; r < 4; r++) {
      let key = firstOwn + rowGroup + r * 8;
      for (var j = 0; j < 4; j++) {
        let row = tileRow + 4 * column + j;
        let at = Pair(batch, head, shift + row, key, row);
        let near = key >= firstKey(at.query, validKeys) && key < endKey(at.query, validKeys);
        let seen = !masked || (row < parameters.queryLength && near && isSeen(at));
        let g = pairGradient(s[r][j], d[r][j], statistics[j], at);
        s[r][j] = select(0.0, g.weight, seen);
        d[r][j] = select(0.0, g.scaled, seen);
      }
      weightTile[column >> 2u][r][(rowGroup ^ ((column & 3) * 10))] = s[r];
    }
    for (var filling = 0; filling < 1; filling++) {
      var staged: array<vec4f, 8>;
      for (var i = 0; i < 2; i++) {
        let k = (i * 2) + (lane >> 5u);
        staged[i] = dOutputAt(batch, head, min(tileRow + 4 * (filling * 8 + (((lane >> 3u) & 3))) + k, parameters.queryLength - 1), (lane & 7));
        staged[i + 2] = dOutputAt(batch, head, min(tileRow + 4 * (filling * 8 + (((lane >> 3u) & 3))) + k, parameters.queryLength - 1), 8 + (lane & 7));
        staged[i + 4] = dOutputAt(batch, head, min(tileRow + 4 * (filling * 8 + (4 + ((lane >> 3u) & 3))) + k, parameters.queryLength - 1), (lane & 7));
        staged[i + 6] = dOutputAt(batch, head, min(tileRow + 4 * (filling * 8 + (4 + ((lane >> 3u) & 3))) + k, parameters.queryLength - 1), 8 + (lane & 7));
      }

      workgroupBarrier();
      let at = (lane & 31);
      for (var i = 0; i < 2; i++) {
        let k = (i * 2) + (lane >> 5u);
        columnTile[0][k][at] = staged[i];
        columnTile[0][k + 4][at] = staged[i + 2];
        columnTile[1][k][at] = staged[i + 4];
        columnTile[1][k + 4][at] = staged[i + 6];
      }
      workgroupBarrier();
      for (var c = 0; c < 4; c++) {
        {
          var p: array<vec4f, 8>;
          for (var r = 0; r < 8; r++) { p[r] = weightTile[0][r][(rowGroup ^ (c * 10))]; }
          for (var k = 0; k < 4; k++) {
            let v0 = columnTile[0][k][c * 8 + column];
            for (var r = 0; r < 8; r++) { dv[0][r] = fma(vec4f(p[r][k]), v0, dv[0][r]); }
            let v1 = columnTile[0][k + 4][c * 8 + column];
            for (var r = 0; r < 8; r++) { dv[1][r] = fma(vec4f(p[r][k]), v1, dv[1][r]); }
          }
        }
        {
          var p: array<vec4f, 8>;
          for (var r = 0; r < 8; r++) { p[r] = weightTile[1][r][(rowGroup ^ (c * 10))]; }
          for (var k = 0; k < 4; k++) {
            let v0 = columnTile[1][k][c * 8 + column];
            for (var r = 0; r < 8; r++) { dv[0][r] = fma(vec4f(p[r][k]), v0, dv[0][r]); }
            let v1 = columnTile[1][k + 4][c * 8 + column];
            for (var r = 0; r < 8; r++) { dv[1][r] = fma(vec4f(p[r][k]), v1, dv[1][r]); }
          }
        }
      }
    }
    workgroupBarrier();
    for (var r = 0; r < 4; r++) { weightTile[column >> 2u][r][(rowGroup ^ ((column & 3) * 10))] = d[r]; }
    for (var filling = 0; filling < 1; filling++) {
      var staged: array<vec4f, 8>;
      for (var i = 0; i < 2; i++) {
        let k = (i * 2) + (lane >> 5u);
        staged[i] = queryAt(batch, head, min(tileRow + 4 * (filling * 8 + (((lane >> 3u) & 3))) + k, parameters.queryLength - 1), (lane & 7));
        staged[i + 2] = queryAt(batch, head, min(tileRow + 4 * (filling * 8 + (((lane >> 3u) & 3))) + k, parameters.queryLength - 1), 8 + (lane & 7));
        staged[i + 4] = queryAt(batch, head, min(tileRow + 4 * (filling * 8 + (4 + ((lane >> 3u) & 3))) + k, parameters.queryLength - 1), (lane & 7));
        staged[i + 6] = queryAt(batch, head, min(tileRow + 4 * (filling * 8 + (4 + ((lane >> 3u) & 3))) + k, parameters.queryLength - 1), 8 + (lane & 7));
      }

      workgroupBarrier();
      let at = (lane & 31);
      for (var i = 0; i < 2; i++) {
        let k = (i * 2) + (lane >> 5u);
        columnTile[0][k][at] = staged[i];
        columnTile[0][k + 4][at] = staged[i + 2];
        columnTile[1][k][at] = staged[i + 4];
        columnTile[1][k + 4][at] = staged[i + 6];
      }
      workgroupBarrier();
      for (var c = 0; c < 4; c++) {
        {
          var p: array<vec4f, 8>;
          for (var r = 0; r < 8; r++) { p[r] = weightTile[0][r][(rowGroup ^ (c * 10))]; }
          for (var k = 0; k < 4; k++) {
            let v0 = columnTile[0][k][c * 8 + column];
            for (var r = 0; r < 8; r++) { dk[0][r] = fma(vec4f(p[r][k]), v0, dk[0][r]); }
            let v1 = columnTile[0][k + 4][c * 8 + column];
            for (var r = 0; r < 8; r++) { dk[1][r] = fma(vec4f(p[r][k]), v1, dk[1][r]); }
          }
        }
        {
          var p: array<vec4f, 8>;
          for (var r = 0; r < 8; r++) { p[r] = weightTile[1][r][(rowGroup ^ (c * 10))]; }
          for (var k = 0; k < 4; k++) {
            let v0 = columnTile[1][k][c * 8 + column];
            for (var r = 0; r < 8; r++) { dk[0][r] = fma(vec4f(p[r][k]), v0, dk[0][r]); }
            let v1 = columnTile[1][k + 4][c * 8 + column];
            for (var r = 0; r < 8; r++) { dk[1][r] = fma(vec4f(p[r][k]), v1, dk[1][r]); }
          }
        }
      }
    }
  }
  }
  for (var r = 0; r < 4; r++) {
    let key = firstOwn + rowGroup + r * 8;
    if (key >= parameters.keyLength) { continue; }
    let index = plane * parameters.keyLength + key;
    for (var band = 0; band < 2; band++) {
      store(parameters.dKeyOffset + index * 64, band * 8 + column, 64, dk[band][r]);
    }
    for (var band = 0; band < 2; band++) {
      store(parameters.dValueOffset + index * 64, band * 8 + column, 64, dv[band][r]);
    }
  }
}
