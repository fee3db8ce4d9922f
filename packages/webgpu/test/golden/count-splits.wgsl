struct Parameters { firstGroup: i32, batch: i32, queryLength: i32, keyLength: i32, left: i32, right: i32, lowerRight: i32, lengthsAt: i32, splitsAt: i32, most: i32, groupsPerSplit: i32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> context: array<u32>;
@group(0) @binding(2) var<storage, read_write> groups: array<u32, 3>;

fn positionOf(row: i32, validKeys: i32) -> i32 {
  return row + parameters.lowerRight * (validKeys - parameters.queryLength);
}
fn firstKey(position: i32, validKeys: i32) -> i32 { return clamp(position - parameters.left, 0, validKeys); }
fn endKey(position: i32, validKeys: i32) -> i32 { return clamp(position + parameters.right + 1, 0, validKeys); }
fn validKeysOf(batch: i32) -> i32 { return clamp(bitcast<i32>(context[parameters.lengthsAt + batch]), 0, parameters.keyLength); }

@compute @workgroup_size(1)
fn main() {
  var longest = 0;
  for (var batch = 0; batch < parameters.batch; batch++) {
    let validKeys = validKeysOf(batch);
    let first = positionOf(0, validKeys);
    longest = max(longest, endKey(first + parameters.queryLength - 1, validKeys) - firstKey(first, validKeys));
  }
  let splits = clamp((longest + 127) / 128, 1, parameters.most);
  context[parameters.splitsAt] = u32(splits);
  groups = array(u32(splits * parameters.groupsPerSplit), 1u, 1u);
}
