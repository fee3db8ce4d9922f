import { declarations, type Kernel } from '../kernel.ts'
import { mainOf } from '../snippets/main.wgsl.ts'

/** output[i] = Σ copy[i], one invocation per element, in order. */
export const sumCopies: Kernel<Record<string, never>> = {
  name: 'sum-copies',

  interface: () => ({
    parameters: { copies: 'i32', elements: 'i32' },
    buffers: { partial: { type: 'array<f32>', access: 'read' }, output: { type: 'array<f32>', access: 'read_write' } },
  }),

  code(spec) {
    return `${declarations(this.interface(spec))}

${mainOf('element')}
  if (element >= parameters.elements) { return; }
  var sum = 0.0;
  for (var copy = 0; copy < parameters.copies; copy++) { sum += partial[copy * parameters.elements + element]; }
  output[element] = sum;
}
`
  },
}
