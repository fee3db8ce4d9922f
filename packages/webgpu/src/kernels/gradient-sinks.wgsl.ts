import { declarations, type Kernel } from '../kernel.ts'

const groupSize = 64

/**
 * dSinks, one workgroup per head: a sink is a key whose value is zero, so each row adds −p · δ with p = e^(sink − lse).
 */
export const gradientSinks: Kernel<Record<string, never>> = {
  name: 'gradient-sinks',

  interface: () => ({
    parameters: { batch: 'i32', queryHeads: 'i32', queryLength: 'i32', sinksAt: 'i32' },
    buffers: {
      context: { type: 'array<u32>', access: 'read' },
      rowStatistics: { type: 'array<vec2f>', access: 'read' },
      dSinks: { type: 'array<f32>', access: 'read_write' },
    },
  }),

  code(spec) {
    return `${declarations(this.interface(spec))}
var<workgroup> sums: array<f32, ${groupSize}>;

@compute @workgroup_size(${groupSize})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = i32(groupId.x) + parameters.firstGroup;
  let sink = bitcast<f32>(context[parameters.sinksAt + head]) * 1.4426950408889634;
  var sum = 0.0;
  for (var item = i32(lane); item < parameters.batch * parameters.queryLength; item += ${groupSize}) {
    let batch = item / parameters.queryLength;
    let row = item % parameters.queryLength;
    let statistics = rowStatistics[(batch * parameters.queryHeads + head) * parameters.queryLength + row];
    sum -= exp2(sink - statistics.x) * statistics.y;
  }
  sums[lane] = sum;
  for (var half = ${groupSize / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { sums[lane] += sums[lane + half]; }
  }
  if (lane == 0u) { dSinks[head] = sums[0]; }
}
`
  },
}
