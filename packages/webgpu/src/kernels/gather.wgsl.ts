import type { Dtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { elementsPerWord, readBits } from '../snippets/bits.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'

export interface GatherSpec {
  readonly dtype: Dtype
}

/** Rows of a table by index, one invocation per word of the output; bits are moved, never looked at. */
export const gather: Kernel<GatherSpec> = {
  name: 'gather',

  interface: () => ({
    parameters: {
      count: 'i32',
      rows: 'i32',
      dim: 'i32',
      tableOffset: 'i32',
      tableStride0: 'i32',
      tableStride1: 'i32',
      indicesOffset: 'i32',
    },
    buffers: {
      table: { type: 'array<u32>', access: 'read' },
      indices: { type: 'array<i32>', access: 'read' },
      output: { type: 'array<u32>', access: 'read_write' },
    },
  }),

  code(spec) {
    const per = elementsPerWord[spec.dtype]
    return `${declarations(this.interface(spec))}
${readBits('table', spec.dtype)}

${mainOf('word')}
  var bits = 0u;
  for (var k = 0; k < ${per}; k++) {
    let item = word * ${per} + k;
    if (item >= parameters.count) { break; }
    let row = clamp(indices[parameters.indicesOffset + item / parameters.dim], 0, parameters.rows - 1);
    let element = parameters.tableOffset + row * parameters.tableStride0 + (item % parameters.dim) * parameters.tableStride1;
    bits |= tableBits(element) << u32(k * ${32 / per});
  }
  if (word * ${per} < parameters.count) { output[word] = bits; }
}
`
  },
}
