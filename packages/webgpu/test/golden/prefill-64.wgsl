enable subgroups;
struct Parameters { firstGroup: i32, batch: i32, queryHeads: i32, keyHeads: i32, group: i32, scale: f32, queryLength: i32, keyLength: i32, left: i32, right: i32, lowerRight: i32, queryOffset: i32, queryStride0: i32, queryStride1: i32, queryStride2: i32, queryStride3: i32, keyOffset: i32, keyStride0: i32, keyStride1: i32, keyStride2: i32, keyStride3: i32, valueOffset: i32, valueStride0: i32, valueStride1: i32, valueStride2: i32, valueStride3: i32, tiles: i32, packed: i32, planesAt: i32, runOffsetsAt: i32, runsAt: i32, outputOffset: i32, outputStride0: i32, outputStride1: i32, outputStride2: i32, outputStride3: i32 }
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
var<workgroup> queryTile: array<array<array<vec4f, 128>, 4>, 2>;
var<workgroup> keyTile: array<array<array<vec4f, 64>, 4>, 2>;
var<workgroup> weightTile: array<array<vec4f, 128>, 4>;
fn rowMaximum(x: vec4f, lane: i32) -> vec4f { var y = x; y = max(y, subgroupShuffleXor(y, 1u)); y = max(y, subgroupShuffleXor(y, 2u)); y = max(y, subgroupShuffleXor(y, 4u)); return y; }
fn rowSum(x: vec4f, lane: i32) -> vec4f { var y = x; y = y + subgroupShuffleXor(y, 1u); y = y + subgroupShuffleXor(y, 2u); y = y + subgroupShuffleXor(y, 4u); return y; }
struct Tile { index: i32, batch: i32, keyHead: i32, firstHead: i32, firstRow: i32, rowCount: i32, validKeys: i32, shift: i32, perRow: f32 }
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
fn valueAt(row: ValueRow, chunk: i32, hides: bool) -> vec4f {
  let x = valueVector(row, chunk);
  if (!hides) { return x; }
  return select(vec4f(), x, (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u));
}

fn addDot(a: vec4f, b: vec4f, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = (lane & 7);
  let rowGroup = (lane >> 3u);
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);

  /* The rows that this invocation stages, of queries and of the first tile of keys. Past the last key it reads what is masked. */
  var stagedQuery: array<i32, 4>;
  for (var i = 0; i < 4; i++) {
    let part = i * 1 + 0;
    let own = rowOf(tile, min(part * 16 + ((lane >> 3u) & 15), tile.rowCount - 1));
    stagedQuery[i] = queryBase(tile.batch, own.head, own.token);
  }
  let stagedKey = keyBase(tile.batch, tile.keyHead, 4 * ((lane >> 3u) & 7) + (lane >> 6u));
  let stagedValue = valueBase(tile.batch, tile.keyHead, 4 * ((lane >> 3u) & 7) + (lane >> 6u));

  var m = vec4f(lowest);
  var l = vec4f();
  var o: array<array<vec4f, 4>, 2>;
  {
      let group = ((lane >> 3u) & 15);
      let at = (((group << 3u) | (group & 7)) ^ (lane & 7));
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 4; i++) { let part = i; queryTile[slot][part][at] = queryAt(stagedQuery[i], 0 + 8 * slot + (lane & 7)); }
      }
    }
  let firstPosition = tile.shift + tile.firstRow / parameters.packed;
  let lastPosition = tile.shift + (tile.firstRow + tile.rowCount - 1) / parameters.packed;
  let stopKey = endKey(lastPosition, tile.validKeys);
  let fullStart = firstKey(lastPosition, tile.validKeys);
  let fullEnd = endKey(firstPosition, tile.validKeys);
  for (var tileKey = firstKey(firstPosition, tile.validKeys) / 32 * 32; tileKey < stopKey; tileKey += 32) {
    let masked = tileKey < fullStart || tileKey + 32 > fullEnd;

    let firstOwnKey = tileKey + column * 4;
    let hides = masked;
    var s = array<vec4f, 4>();
    workgroupBarrier();

    {
      let group = ((lane >> 3u) & 7);
      let at = (((group << 3u) | (group & 7)) ^ (lane & 7));
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 2; i++) { let part = i * 2 + (lane >> 6u); keyTile[slot][part][at] = keyAt(stagedKey + (tileKey + i * 2) * keyStep(), 0 + 8 * slot + (lane & 7)); }
      }
    }
    workgroupBarrier();
    {
    let aRow = ((rowGroup << 3u) | (rowGroup & 7));
    let bRow = ((column << 3u) | (column & 7));
    for (var c = 0; c < 8; c++) {
      for (var slot = 0; slot < 2; slot++) {
        var b: array<vec4f, 4>;
        for (var i = 0; i < 4; i++) { b[i] = keyTile[slot][i][bRow ^ c]; }
        for (var r = 0; r < 4; r++) {
          let a = queryTile[slot][r][aRow ^ c];
          s[r] = vec4f(addDot(a, b[0], s[r].x), addDot(a, b[1], s[r].y), addDot(a, b[2], s[r].z), addDot(a, b[3], s[r].w));
        }
      }
    }
    }
    if (masked) {
      for (var r = 0; r < 4; r++) {
        let own = rowOf(tile, min(rowGroup + r * 16, tile.rowCount - 1));
        let position = tile.shift + own.token;
        let first = firstKey(position, tile.validKeys);
        let end = endKey(position, tile.validKeys);
        for (var j = 0; j < 4; j++) {
          let at = Pair(tile.batch, own.head, position, firstOwnKey + j, own.token);
          let visible = (at.key >= first && at.key < end && isVisible(at));

          s[r][j] = select(lowest, s[r][j], visible);
        }
       }
    }

    let t = rowMaximum(vec4f(max(max(s[0].x, s[0].y), max(s[0].z, s[0].w)), max(max(s[1].x, s[1].y), max(s[1].z, s[1].w)), max(max(s[2].x, s[2].y), max(s[2].z, s[2].w)), max(max(s[3].x, s[3].y), max(s[3].z, s[3].w))), lane);
    if (any(t > m + 8.0)) {
      let rescale = exp2(m - max(m, t));
      m = max(m, t);
      l *= rescale;
      for (var band = 0; band < 2; band++) { for (var r = 0; r < 4; r++) { o[band][r] *= rescale[r]; } }
    }
    for (var r = 0; r < 4; r++) {
      let p = exp2(s[r] - select(m[r], 0.0, m[r] == lowest));
      l[r] += (p.x + p.y) + (p.z + p.w);
      weightTile[r][(((rowGroup << 3u) | (rowGroup & 7)) ^ column)] = p;
     }

    {
    let pRow = ((rowGroup << 3u) | (rowGroup & 7));
    for (var phase = 0; phase < 1; phase++) {
      workgroupBarrier();
      {
      let at = (lane & 63);
      let group = ((at >> 3u) & 7);
      let band = (at >> 6u) * 2;
      for (var slot = 0; slot < 2; slot++) {
        for (var i = 0; i < 2; i++) { let part = i * 2 + (lane >> 6u); keyTile[slot][part][at] = valueAt(stagedValue + (tileKey + phase * 32 + i * 2) * valueStep(), (band + slot) * 8 + (lane & 7), hides); }
      }
    }
      workgroupBarrier();
      for (var b = 0; b < 8; b++) {
        let pAt = pRow ^ (phase * 8 + b);
        var p: array<vec4f, 4>;
        for (var r = 0; r < 4; r++) { p[r] = weightTile[r][pAt]; }
        for (var part = 0; part < 1; part++) {
          let vAt = (part * 8 + b) * 8 + column;
          for (var slot = 0; slot < 2; slot++) {
            let band = part * 2 + slot;
            for (var k = 0; k < 4; k++) {
              let v = keyTile[slot][k][vAt];
              for (var r = 0; r < 4; r++) { o[band][r] = fma(vec4f(p[r][k]), v, o[band][r]); }
            }
          }
        }
      }
    }
    }

  }

  let sums = rowSum(l, lane);
  for (var r = 0; r < 4; r++) {
    let row = rowGroup + r * 16;
    if (row >= tile.rowCount) { continue; }
    let own = rowOf(tile, row);
    var reference = m[r];
    var total = sums[r];
    var factor = 1.0;

    let empty = total == 0.0;
    total = select(total, 1.0, empty);
    let outputRow = outputBase(tile.batch, own.head, own.token);
    for (var band = 0; band < 2; band++) {
      let chunk = band * 8 + column;
      { outputStore(outputRow, chunk, o[band][r] * (factor / total)); }
    }
    if (column == 0) {
      lse[(tile.batch * parameters.queryHeads + own.head) * parameters.queryLength + own.token] = select(bitcast<u32>(fma(reference, ln2, log(total))), 0xff800000u, empty);
    }
  }
}

