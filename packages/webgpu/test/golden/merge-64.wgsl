struct Parameters { firstGroup: i32, parts: i32, rows: i32, heads: i32, queryLength: i32, outputOffset: i32, outputStride0: i32, outputStride1: i32, outputStride2: i32, outputStride3: i32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read> partialLse: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> lse: array<u32>;

fn outputStore(base: i32, chunk: i32, x: vec4f) { output[(base >> 2) + chunk] = x; }
fn outputBase(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.outputOffset + batch * parameters.outputStride0 + head * parameters.outputStride1 + row * parameters.outputStride2;
}
const empty = 0xff800000u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (i32(groupId.x) + parameters.firstGroup) * 64 + i32(lane);
  let row = index / 16;
  let chunk = index % 16;
  if (row >= parameters.rows) { return; }

  let parts = parameters.parts;
  var largest = -1.7e38;
  for (var part = 0; part < parts; part++) {
    let bits = partialLse[part * parameters.rows + row];
    if (bits != empty) { largest = max(largest, bitcast<f32>(bits)); }
  }
  var total = 0.0;
  var sum = vec4f();
  for (var part = 0; part < parts; part++) {
    let bits = partialLse[part * parameters.rows + row];
    if (bits == empty) { continue; }
    let weight = exp(bitcast<f32>(bits) - largest);
    total += weight;
    let start = (part * parameters.rows + row) * 64 + 4 * chunk;
    for (var lane = 0; lane < min(4, 64 - 4 * chunk); lane++) { sum[lane] += weight * partial[start + lane]; }
  }
  let none = total == 0.0;
  let divisor = select(total, 1.0, none);
  let plane = row / parameters.queryLength;
  outputStore(outputBase(plane / parameters.heads, plane % parameters.heads, row % parameters.queryLength), chunk, sum / divisor);
  if (chunk == 0) { lse[row] = select(bitcast<u32>(largest + log(divisor)), empty, none); }
}
