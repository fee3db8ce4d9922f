import { invocationsPerGroup } from '../kernel.ts'

/** How `main` begins where invocations have nothing to do with one another: `index` is the number of this one. */
export function mainOf(index: string): string {
  return `@compute @workgroup_size(${invocationsPerGroup})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let ${index} = (i32(groupId.x) + parameters.firstGroup) * ${invocationsPerGroup} + i32(lane);`
}
