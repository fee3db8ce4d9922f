import { declarations, type Kernel } from '../kernel.ts'
import { validKeysOf } from '../snippets/problem.wgsl.ts'
import { visibility, visibilityParameters } from '../snippets/visibility.wgsl.ts'

/** Fewer keys than these are not worth a workgroup of their own. */
export const keysPerSplit = 128

/**
 * How many splits the keys of the longest sequence fill, at most `most`, and how many workgroups that makes: for attention
 * whose lengths only the device knows, so that a long cache costs what is in it.
 */
export const countSplits: Kernel<Record<string, never>> = {
  name: 'count-splits',

  interface: () => ({
    parameters: { batch: 'i32', ...visibilityParameters, lengthsAt: 'i32', splitsAt: 'i32', most: 'i32', groupsPerSplit: 'i32' },
    buffers: {
      context: { type: 'array<u32>', access: 'read_write' },
      groups: { type: 'array<u32, 3>', access: 'read_write' },
    },
  }),

  code(spec) {
    return `${declarations(this.interface(spec))}
${visibility}
${validKeysOf(true)}

@compute @workgroup_size(1)
fn main() {
  var longest = 0;
  for (var batch = 0; batch < parameters.batch; batch++) {
    let validKeys = validKeysOf(batch);
    let first = positionOf(0, validKeys);
    longest = max(longest, endKey(first + parameters.queryLength - 1, validKeys) - firstKey(first, validKeys));
  }
  let splits = clamp((longest + ${keysPerSplit - 1}) / ${keysPerSplit}, 1, parameters.most);
  context[parameters.splitsAt] = u32(splits);
  groups = array(u32(splits * parameters.groupsPerSplit), 1u, 1u);
}
`
  },
}
