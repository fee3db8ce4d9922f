import { declarations, type Kernel, invocationsPerGroup } from '../kernel.ts'

/** output[i] = Σ copy[i], one invocation per element, in order. */
export const sumCopies: Kernel<Record<string, never>> = {
  name: 'sum-copies',

  interface: () => ({
    parameters: { copies: 'i32', elements: 'i32' },
    buffers: { partial: { type: 'array<f32>', access: 'read' }, output: { type: 'array<f32>', access: 'read_write' } },
  }),

  code(spec) {
    return `${declarations(this.interface(spec))}

@compute @workgroup_size(${invocationsPerGroup})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let element = (i32(groupId.x) + parameters.firstGroup) * ${invocationsPerGroup} + i32(lane);
  if (element >= parameters.elements) { return; }
  var sum = 0.0;
  for (var copy = 0; copy < parameters.copies; copy++) { sum += partial[copy * parameters.elements + element]; }
  output[element] = sum;
}
`
  },
}
